// The Language Server Protocol for .moe files: what an editor is told about the files it has open.
// What is right and what is wrong is policy/'s business; here are messages.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "policy/compile.h"
#include "policy/editor_text.h"
#include "sluice/status.h"

namespace sluice {

class LanguageServer final {
 public:
  using Json = nlohmann::json;
  // `send`: takes each message to the editor, without its header.
  LanguageServer(CompileOptions options, std::function<void(const std::string& body)> send);

  // One message of the editor. Whatever is wrong with it is answered, not thrown.
  void Handle(const std::string& body);
  // After a header that makes no sense: says so, with nobody's id.
  void ReportUnreadable(const std::string& message);

  bool exited() const { return exited_; }
  // Whether the editor said goodbye before it left.
  bool shut_down() const { return state_ == State::kShutDown; }

 private:
  enum class State { kNew, kRunning, kShutDown };
  using Answer = Result<Json>;

  void Request(const Json& id, const std::string& method, const Json& params);
  void Notify(const std::string& method, const Json& params);

  Answer Initialize(const Json& params);
  Answer Shutdown(const Json& params);
  Answer Complete(const Json& params);
  Answer Hover(const Json& params);
  Answer Format(const Json& params);
  void Open(const Json& params);
  void Change(const Json& params);
  void Close(const Json& params);

  Result<const EditorText*> Document(const Json& params) const;
  void Publish(const std::string& uri, const Json& version);
  void Send(Json message);
  void SendError(const Json& id, int code, const std::string& message);

  const CompileOptions options_;
  const std::function<void(const std::string& body)> send_;
  State state_ = State::kNew;
  bool exited_ = false;
  bool markdown_ = false;                        // the editor shows it
  std::map<std::string, EditorText> documents_;  // by URI
};

}  // namespace sluice
