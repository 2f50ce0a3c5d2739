// Collects text and compiles it: one way for a policy to come into being.
#include "policy/builder.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice {

PolicyBuilder& PolicyBuilder::Set(std::string_view key, std::string_view value) {
  const size_t last = key.rfind('.');
  const bool dotted = last != std::string_view::npos;
  std::string head(dotted ? key.substr(0, last) : "cache");
  std::ranges::replace(head, '.', ' ');
  const std::string name(dotted ? key.substr(last + 1) : key);
  auto block = std::ranges::find(blocks_, head, &Block::head);
  if (block == blocks_.end()) {
    blocks_.push_back({.head = head});
    block = std::prev(blocks_.end());
  }
  const auto known =
      std::ranges::find(block->parameters, name, [](const auto& p) { return p.first; });
  if (known != block->parameters.end()) {
    known->second = value;
  } else {
    block->parameters.emplace_back(name, value);
  }
  return *this;
}

PolicyBuilder& PolicyBuilder::When(std::string_view condition, std::string_view actions) {
  rules_ += fmt::format("        when {} {{\n{}\n}}\n", condition, actions);
  return *this;
}

std::string PolicyBuilder::Text() const {
  std::string text = fmt::format("version {:.1f}\npolicy {} {{\n", kLanguageVersion, name_);
  for (const Block& block : blocks_) {
    text += fmt::format("    {} {{\n", block.head);
    for (const auto& [name, value] : block.parameters) {
      text += fmt::format("        {} = {}\n", name, value);
    }
    text += "    }\n";
  }
  if (!rules_.empty()) text += fmt::format("    adapt {{\n{}    }}\n", rules_);
  return text + "}\n";
}

Result<PolicySpec> PolicyBuilder::Build(const CompileOptions& options) const {
  return CompilePolicy(Text(), "policy " + name_, options);
}

}  // namespace sluice
