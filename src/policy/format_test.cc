// The canonical form: what it looks like, and that it changes nothing.
#include "policy/format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "policy/compile.h"
#include "policy/lexer.h"
#include "policy/shipped.h"
#include "policy/testing_policies.h"

namespace sluice {
namespace {

std::string Formatted(std::string_view source) {
  const Result<std::string> text = FormatPolicyText(source, "test.moe");
  EXPECT_TRUE(text.ok()) << text.status().message();
  return text.ok() ? *text : "";
}

TEST(Format, LooksLikeThis) {
  EXPECT_EQ(Formatted(R"(

# about the file
version 1.0 # the newest
# about a
policy a{# opens
cache{capacity=40 % eviction=lfu|lru # behind

# own line


pin=[ 3,12..23 : *,*:* , 24..*:0]; decay_every = 1   tokens }
  schedule   prefill{ # empty
}
adapt{when (hit_rate<.5 or(stall_ms>2. and step!=3))and(queue_depth>1) for 3 steps{
prefetch.budget=8|idle log "a \"b\"" # last
}
# before the brace
}}# the end
policy b extends a { }
# really)"),
            R"(# about the file
version 1.0 # the newest

# about a
policy a { # opens
    cache {
        capacity = 40%
        eviction = lfu | lru # behind

        # own line

        pin = [3, 12..23:*, *:*, 24..*:0]
        decay_every = 1 tokens
    }
    schedule prefill { # empty
    }
    adapt {
        when (hit_rate < 0.5 or stall_ms > 2 and step != 3) and queue_depth > 1 for 3 steps {
            prefetch.budget = 8 | idle
            log "a \"b\"" # last
        }
        # before the brace
    }
} # the end

policy b extends a {
}
# really
)");
}

// The comments of a file, in order.
std::vector<std::string> Comments(std::string_view source) {
  Diagnostics diagnostics("test.moe", source);
  std::vector<std::string> comments;
  for (const Comment& comment : ReadWords(source, &diagnostics).comments) {
    comments.emplace_back(comment.text);
  }
  return comments;
}

void ExpectHarmless(const std::string& source) {
  const std::string once = Formatted(source);
  EXPECT_EQ(Formatted(once), once) << "from\n" << source;
  EXPECT_EQ(Comments(once), Comments(source)) << source;
  const CompiledFile before = CompileFile(source, "before");
  const CompiledFile after = CompileFile(once, "after");
  ASSERT_EQ(before.policies.size(), after.policies.size());
  for (size_t i = 0; i < before.policies.size(); ++i) {
    EXPECT_EQ(before.policies[i].spec, after.policies[i].spec) << source;
  }
}

// The words of a policy with other blanks, line ends and comments between them.
std::string Scrambled(std::string_view source, uint32_t seed) {
  Diagnostics diagnostics("test.moe", source);
  const Words words = ReadWords(source, &diagnostics);
  std::minstd_rand random(seed);
  std::string text;
  int comments = 0;
  for (size_t i = 0; i + 1 < words.tokens.size(); ++i) {
    text += words.tokens[i].text;
    // What touches is one thing: 6GiB.
    if (words.tokens[i].place.end() == words.tokens[i + 1].place.offset) continue;
    switch (random() % 8) {
      case 0:
        text += "\n";
        break;
      case 1:
        text += "\n\n\n  ";
        break;
      case 2:
        text += " # comment " + std::to_string(comments++) + "\n";
        break;
      case 3:
        text += "\r\n\t# comment " + std::to_string(comments++) + "  \r\n";
        break;
      case 4:
        text += "; ";
        break;
      default:
        text += " ";
    }
  }
  return text;
}

TEST(Format, ChangesNothingHoweverTheFileLooks) {
  std::vector<std::string> sources = {TestPolicy("everything_old"), TestPolicy("everything_new")};
  for (const ShippedPolicy& shipped : ShippedPolicies()) sources.emplace_back(shipped.source);
  for (const std::string& source : sources) {
    ExpectHarmless(source);
    for (uint32_t seed = 1; seed <= 20; ++seed) ExpectHarmless(Scrambled(source, seed));
  }
}

TEST(Format, RefusesWhatItCannotRead) {
  const Result<std::string> text = FormatPolicyText("policy a { cache { capacity } }", "my.moe");
  ASSERT_FALSE(text.ok());
  EXPECT_NE(text.status().message().find("my.moe:1:29"), std::string::npos)
      << text.status().message();
  EXPECT_TRUE(FormatPolicyText("policy a { cache { capacity = 0 } }", "my.moe").ok());
}

}  // namespace
}  // namespace sluice
