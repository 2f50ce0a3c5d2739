#include "cli/replay_flags.h"

#include <fmt/format.h>

#include "base/byte_size.h"

namespace sluice {

void AddLinkFlags(CLI::App* app, LinkFlags* flags) {
  const char* group = "The machine to pretend";
  app->add_option("--bandwidth", flags->bandwidth, "what the link reads per second")
      ->capture_default_str()
      ->group(group);
  app->add_option("--latency-us", flags->latency_us, "of a read on an idle link")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->group(group);
  app->add_option("--expert-bytes", flags->expert_bytes,
                  "size of an expert (default: the trace's, else 2.65MB)")
      ->group(group);
  app->add_option("--compute-ms", flags->compute_ms, "time of one layer for one token")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group(group);
  app->add_option("--dense-share", flags->dense_share,
                  "the share of it that comes before the router has spoken")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0))
      ->group(group);
  app->add_flag("--slow-ram", flags->slow_is_ram,
                "slow memory is RAM: what is computed in place needs no transfer")
      ->group(group);
  app->add_option("--in-place-ms", flags->in_place_ms,
                  "time of an expert in slow memory, per token, with --slow-ram")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->group(group);
}

Result<LinkModel> ResolveLink(const LinkFlags& flags, const TraceMeta& meta) {
  constexpr double kDefaultExpertBytes = 2.65e6;
  SLUICE_TRY_ASSIGN(const uint64_t bandwidth, ParseByteSize(flags.bandwidth));
  if (bandwidth == 0) return InvalidArgumentError("--bandwidth 0 would never read anything");
  LinkModel link{.bytes_per_second = static_cast<double>(bandwidth),
                 .latency_seconds = flags.latency_us / 1e6,
                 .expert_bytes = meta.expert_bytes > 0 ? static_cast<double>(meta.expert_bytes)
                                                       : kDefaultExpertBytes,
                 .compute_seconds = flags.compute_ms / 1e3,
                 .dense_share = flags.dense_share,
                 .slow_is_ram = flags.slow_is_ram,
                 .in_place_seconds = flags.in_place_ms / 1e3};
  if (!flags.expert_bytes.empty()) {
    SLUICE_TRY_ASSIGN(const uint64_t bytes, ParseByteSize(flags.expert_bytes));
    if (bytes == 0) return InvalidArgumentError("--expert-bytes 0: an expert has a size");
    link.expert_bytes = static_cast<double>(bytes);
  }
  return link;
}

}  // namespace sluice
