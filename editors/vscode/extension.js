// Starts `sluice lsp` for .moe files; all else is the language client's business.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = async () => {
  const settings = workspace.getConfiguration("sluice");
  const args = settings.get("replay") ? ["lsp", "--replay"] : ["lsp"];
  const server = { command: settings.get("path"), args };
  client = new LanguageClient("sluice", "sluice", server, { documentSelector: [{ language: "moe" }] });
  await client.start();
};

exports.deactivate = () => client?.stop();
