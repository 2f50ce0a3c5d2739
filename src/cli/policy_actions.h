// The subcommands of `sluice policy` that have files of their own.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

namespace sluice {

class PolicyAction {
 public:
  virtual ~PolicyAction() = default;
  virtual int Run() = 0;
};

// policy_tune.cc, policy_auto.cc
std::unique_ptr<PolicyAction> NewTuneAction(CLI::App* app);
std::unique_ptr<PolicyAction> NewAutoAction(CLI::App* app);

}  // namespace sluice
