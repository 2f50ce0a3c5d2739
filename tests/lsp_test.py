"""`sluice lsp` as editors use it: through the client of pygls, and byte by byte where the bytes are bad.

pygls and lsprotocol are the witness: every message of the server has to fit their types, which are made
from the protocol's own description.
"""
import asyncio
import json
import pathlib
import re
import subprocess
import unittest

from sluice_process import PROGRAM, sluice

try:
    from lsprotocol import types
    from pygls.lsp.client import BaseLanguageClient
except ImportError:
    types = None

URI = "file:///policies/mine.moe"
SECONDS = 60  # for an answer; a loaded machine is slow


class Editor:
    """A client with one server, and the diagnostics that the server published."""

    def __init__(self):
        self.client = BaseLanguageClient("test", "1.0")
        self.published = asyncio.Queue()

        @self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _(params):
            self.published.put_nowait(params)

    async def __aenter__(self):
        await self.client.start_io(PROGRAM, "lsp", "--stdio")
        self.initialized = await self.wait(self.client.initialize_async(types.InitializeParams(
            capabilities=types.ClientCapabilities(
                text_document=types.TextDocumentClientCapabilities(
                    hover=types.HoverClientCapabilities(
                        content_format=[types.MarkupKind.Markdown]))))))
        self.client.initialized(types.InitializedParams())
        return self

    async def __aexit__(self, *_):
        await self.wait(self.client.shutdown_async(None))
        self.client.exit(None)
        process = self.client._server
        self.exit_code = await self.wait(process.wait())
        await self.client.stop()

    @staticmethod
    def wait(answer):
        return asyncio.wait_for(answer, SECONDS)

    async def open(self, text):
        """What is published about the text."""
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(
            types.TextDocumentItem(uri=URI, language_id="moe", version=1, text=text)))
        return await self.wait(self.published.get())

    async def change(self, text, version):
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(
            types.VersionedTextDocumentIdentifier(version=version, uri=URI),
            [types.TextDocumentContentChangeWholeDocument(text=text)]))
        return await self.wait(self.published.get())

    def at(self, marked):
        """The text without its '@', and the position of it as UTF-16 counts."""
        before, after = marked.split("@")
        line = before.count("\n")
        units = len(before.rsplit("\n", 1)[-1].encode("utf-16-le")) // 2
        return before + after, types.Position(line, units)

    async def complete(self, marked):
        text, position = self.at(marked)
        await self.open(text)
        return await self.wait(self.client.text_document_completion_async(types.CompletionParams(
            types.TextDocumentIdentifier(URI), position)))

    async def labels(self, marked):
        return [item.label for item in (await self.complete(marked)).items]

    async def hover(self, marked):
        text, position = self.at(marked)
        await self.open(text)
        return await self.wait(self.client.text_document_hover_async(types.HoverParams(
            types.TextDocumentIdentifier(URI), position)))

    async def format(self):
        return await self.wait(self.client.text_document_formatting_async(
            types.DocumentFormattingParams(types.TextDocumentIdentifier(URI),
                                           types.FormattingOptions(tab_size=8, insert_spaces=False))))


def cut(text, span):
    """What a range of the protocol covers."""
    lines = text.split("\n")
    def index(position):
        line = lines[position.line].encode("utf-16-le")[:2 * position.character].decode("utf-16-le")
        return sum(len(l) + 1 for l in lines[:position.line]) + len(line)
    return text[index(span.start):index(span.end)]


@unittest.skipIf(types is None, "pygls is not installed (tools/install_dependencies.sh)")
class ClientTest(unittest.IsolatedAsyncioTestCase):
    async def test_says_what_it_can_and_leaves_in_order(self):
        async with Editor() as editor:
            able = editor.initialized.capabilities
            self.assertEqual(able.position_encoding, types.PositionEncodingKind.Utf16)
            self.assertTrue(able.hover_provider and able.document_formatting_provider)
            self.assertEqual(able.text_document_sync.change, types.TextDocumentSyncKind.Full)
        self.assertEqual(editor.exit_code, 0)

    async def test_publishes_what_check_finds(self):
        path = pathlib.Path("tests/policies/broken.moe")
        async with Editor() as editor:
            text = path.read_text()
            found = await editor.open(text)
            self.assertEqual((found.uri, found.version), (URI, 1))
            wanted = json.loads(sluice("policy", "check", "--json", path).stdout)
            self.assertEqual([(d.code, d.range.start.line + 1) for d in found.diagnostics],
                             [(d["code"], max(d["line"], 1)) for d in wanted])
            lur = next(d for d in found.diagnostics if "'lur'" in d.message)
            self.assertEqual(cut(text, lur.range), "lur")
            self.assertIn("did you mean lru?", lur.message)
            self.assertEqual(lur.severity, types.DiagnosticSeverity.Error)

            found = await editor.change("policy a { cache { capacity = 8 eviction = score } }", 2)
            self.assertEqual([(d.code, d.severity, d.source) for d in found.diagnostics],
                             [("W901", types.DiagnosticSeverity.Warning, "sluice")])
            self.assertEqual(found.version, 2)
            editor.client.text_document_did_close(
                types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(URI)))
            self.assertFalse((await editor.wait(editor.published.get())).diagnostics)

    async def test_counts_in_utf16(self):
        async with Editor() as editor:
            text = 'policy a { cache { capacity = 8 profile = "\U0001F600\u00e9\u20ac" evicton = lru } }'
            found = await editor.open(text)
            wrong = next(d for d in found.diagnostics if d.code == "E207")
            self.assertEqual(cut(text, wrong.range), "evicton")
            self.assertEqual(wrong.range.start.character, text.index("evicton") + 1)
            hover = await editor.hover(text.replace("evicton", "evic@tion"))
            self.assertEqual(cut(text.replace("evicton", "eviction"), hover.range), "eviction")

    async def test_completes(self):
        async with Editor() as editor:
            self.assertIn("per_layer", await editor.labels("policy a {\n  @\n}"))
            labels = await editor.labels("policy a {\r\n  cache {\r\n    ev@\r\n  }\r\n}")
            self.assertIn("eviction", labels)
            self.assertNotIn("strategy", labels)
            labels = await editor.labels("policy a { cache { scope = @ } }")
            self.assertEqual(labels, ["layer", "shared"])
            self.assertIn("stall_ms", await editor.labels("policy a { adapt { when st@"))
            labels = await editor.labels("policy a { adapt { when step > 1 { @ } } }")
            self.assertIn("prefetch.budget", labels)
            self.assertNotIn("cache.scope", labels)
            marked = "policy a { cache { evi@ = lru } }"
            item = next(i for i in (await editor.complete(marked)).items if i.label == "eviction")
            self.assertEqual(cut(marked.replace("@", ""), item.text_edit.range), "evi")
            self.assertEqual(item.text_edit.new_text, "eviction")
            self.assertEqual(item.detail, "rule, or rule | rule")
            self.assertEqual(await editor.labels("# comm@ent"), [])

    async def test_explains(self):
        async with Editor() as editor:
            hover = await editor.hover("policy a { cache { score_ema@_alpha = 0.5 } }")
            self.assertEqual(hover.contents.kind, types.MarkupKind.Markdown)
            for part in ("number (0, 1]", "moving average", "Default: 0.3"):
                self.assertIn(part, hover.contents.value)
            hover = await editor.hover("policy a { pre@fetch decode { } }")
            self.assertIn("fetched before a layer asks", hover.contents.value)
            self.assertIsNone(await editor.hover("policy a@ { }"))

    async def test_formats_as_fmt_does(self):
        async with Editor() as editor:
            text = "policy a{cache{capacity=8 # \U0001F600\n eviction=lru}}"
            await editor.open(text)
            edit, = await editor.format()
            self.assertEqual(cut(text, edit.range), text)
            self.assertEqual(edit.new_text.encode(),
                             sluice("policy", "fmt", "-", stdin=text.encode()).stdout)
            await editor.change(edit.new_text, 2)
            self.assertEqual(list(await editor.format()), [])
            await editor.change("policy a { cache { capacity } }", 3)
            with self.assertRaisesRegex(Exception, "only a file that can be read"):
                await editor.format()


def framed(message):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def request(method, number=1, **params):
    return framed({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def notification(method, **params):
    return framed({"jsonrpc": "2.0", "method": method, "params": params})


START = request("initialize", 0, capabilities={}) + notification("initialized")
END = request("shutdown", 99) + notification("exit")


def converse(*parts):
    """(exit code, messages of the server, stderr) after these bytes."""
    done = subprocess.run([PROGRAM, "lsp"], input=b"".join(parts), capture_output=True,
                          timeout=SECONDS, check=False)
    messages, rest = [], done.stdout
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = int(head.removeprefix(b"Content-Length: "))
        messages.append(json.loads(rest[:length]))
        rest = rest[length:]
    return done.returncode, messages, done.stderr.decode()


def codes(messages):
    return [m["error"]["code"] for m in messages if "error" in m]


class ColoursTest(unittest.TestCase):
    """The rules of the TextMate grammar as TextMate applies them: the first match, of several the first rule."""

    def test_every_word_of_good_files_has_a_scope(self):
        grammar = json.loads(pathlib.Path("editors/moe.tmLanguage.json").read_text())
        rules = [re.compile(rule["match"] if "match" in rule else r'"(?:\\["\\]|[^"\\])*"')
                 for rule in grammar["patterns"]]
        files = [*pathlib.Path("policies").glob("*.moe"), pathlib.Path("tests/policies/everything_new.moe")]
        self.assertGreater(len(files), 5)
        for path in files:
            for line in path.read_text().splitlines():
                plain, at = "", 0
                while found := [m for rule in rules if (m := rule.search(line, at))]:
                    first = min(found, key=lambda m: m.start())
                    plain, at = plain + line[at:first.start()], first.end()
                self.assertRegex(plain + line[at:], r"^[\s{}()\[\],.]*$", f"{path}: {line}")

    def test_the_extension_is_whole(self):
        folder = pathlib.Path("editors/vscode")
        package = json.loads((folder / "package.json").read_text())
        language, = package["contributes"]["languages"]
        grammar, = package["contributes"]["grammars"]
        self.assertTrue((folder / language["configuration"]).is_file())
        self.assertTrue((folder / package["main"]).is_file())
        self.assertTrue((folder.parent / grammar["path"]).is_file())  # postinstall copies it
        json.loads((folder / language["configuration"]).read_text())


class BytesTest(unittest.TestCase):
    def test_goes_on_after_bad_messages(self):
        bad = [(b"{", -32700), (b"", -32700), (b"\xff\xfe", -32700), (b"[" * 2000000, -32700),
               (b"[]", -32600), (b"7", -32600), (b"{}", -32600), (b'{"method":7,"id":1}', -32600),
               (b'{"method":"x","id":{}}', -32600),
               (b'{"id":5,"method":"textDocument/rename"}', -32601),
               (b'{"id":5,"method":"$/anything"}', -32601),
               (b'{"id":5,"method":"textDocument/hover"}', -32602),
               (b'{"id":5,"method":"textDocument/hover","params":[1]}', -32602),
               (b'{"id":5,"method":"initialize"}', -32600)]
        code, messages, _ = converse(START, *(framed(body) for body, _ in bad), END)
        self.assertEqual(code, 0)
        self.assertEqual(codes(messages), [error for _, error in bad])
        self.assertEqual(messages[-1]["id"], 99)

    def test_ignores_what_needs_no_answer(self):
        code, messages, _ = converse(
            START, framed({"id": 3, "result": None}), notification("$/cancelRequest", id=1),
            notification("textDocument/didOpen"), notification("textDocument/didOpen", textDocument=7),
            notification("textDocument/didChange", textDocument={"uri": URI}, contentChanges=[]),
            notification("textDocument/didClose", textDocument={"uri": URI}), END)
        self.assertEqual((code, len(messages)), (0, 2))

    def test_positions_far_outside(self):
        document = {"textDocument": {"uri": URI, "text": "policy a {", "version": 1}}
        parts = [START, notification("textDocument/didOpen", **document)]
        good = [(0, 2**31), (2**31, 0), (2**64 - 1, 2**64 - 1)]
        bad = [(-1, 0), (0.5, 0), ("0", 0), (None, None)]
        for line, character in good + bad:
            for method in ("completion", "hover"):
                parts.append(request(f"textDocument/{method}", textDocument={"uri": URI},
                                     position={"line": line, "character": character}))
        code, messages, _ = converse(*parts, END)
        self.assertEqual((code, codes(messages)), (0, [-32602] * 2 * len(bad)))

    def test_order(self):
        code, messages, _ = converse(request("shutdown"), START, request("shutdown", 2),
                                     request("textDocument/hover", 3), notification("exit"))
        self.assertEqual((code, codes(messages)), (0, [-32002, -32600]))
        self.assertEqual(converse(START, notification("exit"))[0], 1)  # without shutdown
        self.assertEqual(converse(START)[0], 1)                        # gone
        self.assertEqual(converse()[:2], (1, []))

    def test_bad_headers_end_it(self):
        for header in (b"\r\n", b"Content-Type: x\r\n\r\n", b"hello\r\n\r\n", b"Content-Length: -1\r\n\r\n",
                       b"Content-Length: 99999999999999999999\r\n\r\n", b"Content-Length: 1e3\r\n\r\n",
                       b"Content-Length: 999999999\r\n\r\n", b"Content-Length:\r\n\r\n",
                       b"x" * 100000, b"a: b\r\n" * 10000, b"Content-Length: 10\r\n\r\n{}",
                       b"Content-Le"):
            code, messages, stderr = converse(START, header)
            self.assertEqual((code, codes(messages)), (1, [-32700]), header[:40])
            self.assertTrue(stderr.startswith("sluice: "), stderr)

    def test_other_good_headers(self):
        body = b'{"id":0,"method":"initialize"}'
        for header in (b"content-length:%d\n\n", b"Content-Type: x; charset=utf-8\r\nContent-Length:  %d \r\n\r\n"):
            _, messages, _ = converse(header % len(body) + body)
            self.assertIn("result", messages[0])

    def test_text_of_any_kind(self):
        for text in ("", "\ud83d", "\x00", "{" * 100000, "#" * (2 << 20), "policy a { cache { capacity = "):
            document = {"textDocument": {"uri": URI, "text": text, "version": 1}}
            where = {"textDocument": {"uri": URI}}
            code, messages, _ = converse(
                START, notification("textDocument/didOpen", **document),
                request("textDocument/formatting", **where),
                request("textDocument/completion", **where, position={"line": 0, "character": 5}), END)
            self.assertEqual(code, 0, text[:20])
            self.assertEqual(messages[-1]["id"], 99)


if __name__ == "__main__":
    unittest.main()
