// Policies from C++, with the names that `sluice policy show` prints.
//
//   Result<PolicySpec> spec = PolicyBuilder("mine")
//                                 .Set("cache.capacity", "40%")
//                                 .Set("prefetch.decode.budget", 8)
//                                 .When("hit_rate < 0.4 for 64 steps", "cache.eviction = lru")
//                                 .Build();
//
// Build() checks what the language checks and gives the policy that its text would give.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/compile.h"
#include "policy/parameters.h"

namespace sluice {

class PolicyBuilder {
 public:
  explicit PolicyBuilder(std::string name) : name_(std::move(name)) {}

  // `key`: block.parameter, block.phase.parameter, or tier.name.parameter; `value` as the language
  // writes it. Setting a key again replaces it.
  PolicyBuilder& Set(std::string_view key, std::string_view value);
  PolicyBuilder& Set(std::string_view key, const char* value) {
    return Set(key, std::string_view(value));
  }
  template <typename Number>
  requires std::integral<Number> || std::floating_point<Number> PolicyBuilder& Set(
      std::string_view key, Number number) {
    if constexpr (std::same_as<Number, bool>) {
      return Set(key, number ? "true" : "false");
    } else {
      return Set(key, std::string_view(PrintNumber(static_cast<double>(number))));
    }
  }
  // A rule of adapt; actions one a line.
  PolicyBuilder& When(std::string_view condition, std::string_view actions);

  // The policy's text, not yet checked.
  std::string Text() const;
  Result<PolicySpec> Build(const CompileOptions& options = {}) const;

 private:
  struct Block {
    std::string head;  // "prefetch decode"
    std::vector<std::pair<std::string, std::string>> parameters;
  };

  std::string name_;
  std::vector<Block> blocks_;
  std::string rules_;
};

}  // namespace sluice
