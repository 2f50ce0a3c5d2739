// The machine that a replay pretends to be, as flags: shared by replay, tune and plot.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "routing/trace.h"
#include "sim/virtual_link.h"
#include "sluice/status.h"

namespace sluice {

struct LinkFlags {
  std::string bandwidth = "1.2GB";  // per second
  double latency_us = 100;
  std::string expert_bytes;  // "": as the trace says
  double compute_ms = 1;
  double dense_share = 0.25;
  bool slow_is_ram = false;
  double in_place_ms = 1;
};

// --bandwidth, --latency-us, --expert-bytes, --compute-ms, --dense-share, --slow-ram,
// --in-place-ms.
void AddLinkFlags(CLI::App* app, LinkFlags* flags);

// Fails on a size that is none. Where neither flag nor trace knows an expert's size, that of
// Qwen3-30B-A3B in Q4_K_M.
Result<LinkModel> ResolveLink(const LinkFlags& flags, const TraceMeta& meta);

}  // namespace sluice
