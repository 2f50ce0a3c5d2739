// Whatever an editor leaves out or gets wrong is found by Find, which never throws; two tables say
// which method is whose.
#include "cli/language_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "policy/assist.h"
#include "policy/format.h"

namespace sluice {
namespace {

using LspJson = LanguageServer::Json;

// Of JSON-RPC and of the protocol.
constexpr int kParseError = -32700;
constexpr int kInvalidRequest = -32600;
constexpr int kMethodNotFound = -32601;
constexpr int kInvalidParams = -32602;
constexpr int kServerNotInitialized = -32002;
constexpr int kRequestFailed = -32803;

// nullptr where something on the way is missing.
const LspJson* Find(const LspJson& json, std::initializer_list<const char*> path) {
  const LspJson* at = &json;
  for (const char* const key : path) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

const std::string* FindText(const LspJson& json, std::initializer_list<const char*> path) {
  const LspJson* const found = Find(json, path);
  return found == nullptr ? nullptr : found->get_ptr<const std::string*>();
}

Result<size_t> OffsetOf(const LspJson& params, const EditorText& text) {
  const LspJson* const line = Find(params, {"position", "line"});
  const LspJson* const character = Find(params, {"position", "character"});
  if (line == nullptr || character == nullptr || !line->is_number_unsigned() ||
      !character->is_number_unsigned()) {
    return InvalidArgumentError("position needs line and character, whole numbers from 0");
  }
  const auto bounded = [](const LspJson& number) {
    return static_cast<uint32_t>(std::min<uint64_t>(number.get<uint64_t>(), UINT32_MAX));
  };
  return text.OffsetAt({.line = bounded(*line), .character = bounded(*character)});
}

LspJson PositionJson(const EditorPosition& position) {
  return {{"line", position.line}, {"character", position.character}};
}

LspJson RangeJson(const EditorText& text, size_t begin, size_t end) {
  return {{"start", PositionJson(text.PositionAt(begin))},
          {"end", PositionJson(text.PositionAt(end))}};
}

LspJson DiagnosticJson(const EditorText& text, const Diagnostic& diagnostic) {
  constexpr int kError = 1;
  constexpr int kWarning = 2;
  std::string message = diagnostic.message;
  if (!diagnostic.remedy.empty()) message += "\n" + diagnostic.remedy;
  return {{"range", RangeJson(text, diagnostic.place.offset, diagnostic.place.end())},
          {"severity", diagnostic.severity == Severity::kError ? kError : kWarning},
          {"code", std::string(diagnostic.code)},
          {"source", "sluice"},
          {"message", std::move(message)}};
}

// CompletionItemKind
int KindNumber(Completion::Kind kind) {
  switch (kind) {
    case Completion::Kind::kKeyword:
      return 14;  // Keyword
    case Completion::Kind::kBlock:
      return 9;  // Module
    case Completion::Kind::kParameter:
      return 10;  // Property
    case Completion::Kind::kValue:
      return 20;  // EnumMember
    case Completion::Kind::kMetric:
      return 6;  // Variable
    case Completion::Kind::kUnit:
      return 11;  // Unit
    case Completion::Kind::kPolicy:
      return 7;  // Class
  }
  return 1;
}

bool ShowsMarkdown(const LspJson& params) {
  const LspJson* const formats =
      Find(params, {"capabilities", "textDocument", "hover", "contentFormat"});
  return formats != nullptr && formats->is_array() &&
         std::ranges::find(*formats, LspJson("markdown")) != formats->end();
}

}  // namespace

LanguageServer::LanguageServer(CompileOptions options,
                               std::function<void(const std::string& body)> send)
    : options_(options), send_(std::move(send)) {}

void LanguageServer::Send(Json message) {
  message["jsonrpc"] = "2.0";
  send_(message.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void LanguageServer::SendError(const Json& id, int code, const std::string& message) {
  Send({{"id", id}, {"error", {{"code", code}, {"message", message}}}});
}

void LanguageServer::ReportUnreadable(const std::string& message) {
  SendError(nullptr, kParseError, message);
}

void LanguageServer::Handle(const std::string& body) {
  const Json message = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (message.is_discarded()) return ReportUnreadable("the message is not valid JSON");
  const Json* const found_id = Find(message, {"id"});
  const bool good_id = found_id != nullptr && (found_id->is_string() || found_id->is_number());
  const Json id = good_id ? *found_id : Json();
  const std::string* const method = FindText(message, {"method"});
  if (method == nullptr) {
    // We ask nothing, so nothing is answered: what comes as an answer is let go.
    const bool answer = Find(message, {"result"}) != nullptr || Find(message, {"error"}) != nullptr;
    if (!answer) SendError(id, kInvalidRequest, "a message has to be an object with a method");
    return;
  }
  if (found_id != nullptr && !good_id) {
    return SendError(id, kInvalidRequest, "an id has to be a number or a string");
  }
  static const Json none = Json::object();
  const Json* const params = Find(message, {"params"});
  if (found_id == nullptr) return Notify(*method, params == nullptr ? none : *params);
  Request(id, *method, params == nullptr ? none : *params);
}

void LanguageServer::Request(const Json& id, const std::string& method, const Json& params) {
  struct Handler {
    std::string_view method;
    Answer (LanguageServer::*run)(const Json& params);
  };
  static constexpr std::array<Handler, 5> kHandlers = {
      {{"initialize", &LanguageServer::Initialize},
       {"shutdown", &LanguageServer::Shutdown},
       {"textDocument/completion", &LanguageServer::Complete},
       {"textDocument/hover", &LanguageServer::Hover},
       {"textDocument/formatting", &LanguageServer::Format}}};
  const bool starts = method == "initialize";
  if (state_ == State::kNew && !starts) {
    return SendError(id, kServerNotInitialized, "the first request has to be initialize");
  }
  if (state_ == State::kShutDown) {
    return SendError(id, kInvalidRequest, "after shutdown there is only exit");
  }
  if (state_ == State::kRunning && starts) {
    return SendError(id, kInvalidRequest, "initialize comes once");
  }
  const auto* const handler = std::ranges::find(kHandlers, method, &Handler::method);
  if (handler == kHandlers.end()) {
    return SendError(id, kMethodNotFound, fmt::format("unknown method '{}'", method.substr(0, 80)));
  }
  Answer answer = (this->*handler->run)(params);
  if (answer.ok()) return Send({{"id", id}, {"result", std::move(*answer)}});
  const bool params_at_fault = answer.status().code() == StatusCode::kInvalidArgument;
  SendError(id, params_at_fault ? kInvalidParams : kRequestFailed, answer.status().message());
}

void LanguageServer::Notify(const std::string& method, const Json& params) {
  if (method == "exit") exited_ = true;
  if (state_ != State::kRunning) return;
  if (method == "textDocument/didOpen") Open(params);
  if (method == "textDocument/didChange") Change(params);
  if (method == "textDocument/didClose") Close(params);
}

// ---- the session

LanguageServer::Answer LanguageServer::Initialize(const Json& params) {
  state_ = State::kRunning;
  markdown_ = ShowsMarkdown(params);
  constexpr int kFullText = 1;
  return Json{{"capabilities",
               {{"positionEncoding", "utf-16"},
                {"textDocumentSync", {{"openClose", true}, {"change", kFullText}}},
                {"completionProvider", {{"triggerCharacters", {"."}}}},
                {"hoverProvider", true},
                {"documentFormattingProvider", true}}},
              {"serverInfo", {{"name", "sluice"}, {"version", SLUICE_VERSION}}}};
}

LanguageServer::Answer LanguageServer::Shutdown(const Json& /*params*/) {
  state_ = State::kShutDown;
  return Json();
}

// ---- documents

void LanguageServer::Open(const Json& params) {
  const std::string* const uri = FindText(params, {"textDocument", "uri"});
  const std::string* const text = FindText(params, {"textDocument", "text"});
  if (uri == nullptr || text == nullptr) return;
  documents_.insert_or_assign(*uri, EditorText(*text));
  const Json* const version = Find(params, {"textDocument", "version"});
  Publish(*uri, version == nullptr ? Json() : *version);
}

void LanguageServer::Change(const Json& params) {
  const std::string* const uri = FindText(params, {"textDocument", "uri"});
  const Json* const changes = Find(params, {"contentChanges"});
  if (uri == nullptr || !documents_.contains(*uri)) return;
  if (changes == nullptr || !changes->is_array() || changes->empty()) return;
  // Every change is the whole text: only the last one counts.
  const std::string* const text = FindText(changes->back(), {"text"});
  if (text == nullptr || Find(changes->back(), {"range"}) != nullptr) return;
  documents_.insert_or_assign(*uri, EditorText(*text));
  const Json* const version = Find(params, {"textDocument", "version"});
  Publish(*uri, version == nullptr ? Json() : *version);
}

void LanguageServer::Close(const Json& params) {
  const std::string* const uri = FindText(params, {"textDocument", "uri"});
  if (uri == nullptr || documents_.erase(*uri) == 0) return;
  Send({{"method", "textDocument/publishDiagnostics"},
        {"params", {{"uri", *uri}, {"diagnostics", Json::array()}}}});
}

void LanguageServer::Publish(const std::string& uri, const Json& version) {
  const EditorText& text = documents_.at(uri);
  const CompiledFile file = CompileFile(text.text(), uri, options_);
  Json found = Json::array();
  for (const Diagnostic& diagnostic : file.diagnostics.found()) {
    found.push_back(DiagnosticJson(text, diagnostic));
  }
  Json params = {{"uri", uri}, {"diagnostics", std::move(found)}};
  if (version.is_number_integer()) params["version"] = version;
  Send({{"method", "textDocument/publishDiagnostics"}, {"params", std::move(params)}});
}

Result<const EditorText*> LanguageServer::Document(const Json& params) const {
  const std::string* const uri = FindText(params, {"textDocument", "uri"});
  if (uri == nullptr) return InvalidArgumentError("textDocument.uri is missing");
  const auto found = documents_.find(*uri);
  if (found == documents_.end()) return InvalidArgumentError(*uri + " is not open");
  return &found->second;
}

// ---- questions

LanguageServer::Answer LanguageServer::Complete(const Json& params) {
  SLUICE_TRY_ASSIGN(const EditorText* const text, Document(params));
  SLUICE_TRY_ASSIGN(const size_t offset, OffsetOf(params, *text));
  const Completions found = CompleteAt(text->text(), offset);
  const Json range = RangeJson(*text, found.replaced.offset, found.replaced.end());
  Json items = Json::array();
  for (size_t i = 0; i < found.all.size(); ++i) {
    const Completion& completion = found.all[i];
    Json item = {{"label", completion.text},
                 {"kind", KindNumber(completion.kind)},
                 {"sortText", fmt::format("{:03}", i)},  // in the order of the language's lists
                 {"textEdit", {{"range", range}, {"newText", completion.text}}}};
    if (!completion.detail.empty()) item["detail"] = completion.detail;
    if (!completion.help.empty()) item["documentation"] = completion.help;
    items.push_back(std::move(item));
  }
  return Json{{"isIncomplete", false}, {"items", std::move(items)}};
}

LanguageServer::Answer LanguageServer::Hover(const Json& params) {
  SLUICE_TRY_ASSIGN(const EditorText* const text, Document(params));
  SLUICE_TRY_ASSIGN(const size_t offset, OffsetOf(params, *text));
  const std::optional<Explanation> found = ExplainAt(text->text(), offset);
  if (!found) return Json();
  return Json{
      {"contents", {{"kind", markdown_ ? "markdown" : "plaintext"}, {"value", found->text}}},
      {"range", RangeJson(*text, found->place.offset, found->place.end())}};
}

LanguageServer::Answer LanguageServer::Format(const Json& params) {
  SLUICE_TRY_ASSIGN(const EditorText* const text, Document(params));
  const Result<std::string> formatted = FormatPolicyText(text->text(), "the file");
  if (!formatted.ok()) {
    return Status(StatusCode::kUnsupported,
                  "only a file that can be read is formatted: " + formatted.status().message());
  }
  Json edits = Json::array();
  if (*formatted != text->text()) {
    edits.push_back({{"range", RangeJson(*text, 0, text->text().size())}, {"newText", *formatted}});
  }
  return edits;
}

}  // namespace sluice
