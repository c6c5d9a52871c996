// Against sacrebleu: tests/oracle/make_bleu_fixture.py wrote what it gives.
#include "core/metrics/bleu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "tests/support/paths.h"
#include "tests/support/values.h"

namespace trireme::testing {
namespace {

nlohmann::json fixture() {
  std::ifstream stream(test_folder() + "/oracle/bleu.json");
  return nlohmann::json::parse(stream);
}

BleuTokens tokens_of(const std::string& tokenizer, bool lowercase) {
  return {tokenizer == "13a" ? BleuTokenizer::k13a : BleuTokenizer::kNone, lowercase};
}

TEST(Bleu, CountsTheTokensOfSacrebleuInOddTexts) {
  for (const auto& each : fixture()["tokens"]) {
    const auto text = each[0].get<std::string>();
    EXPECT_EQ(bleu_tokens(text, tokens_of(each[1], each[2])), each[3].get<std::vector<std::string>>())
        << text << ", " << each[1] << ", lower case " << each[2];
  }
}

TEST(Bleu, IsThatOfSacrebleu) {
  double worst = 0;
  for (const auto& each : fixture()["corpora"]) {
    const BleuTokens tokens = tokens_of(each["tokenize"], each["lowercase"]);
    const auto hypotheses = each["hypotheses"].get<std::vector<std::string>>();
    BleuCounts counts;
    for (size_t i = 0; i < hypotheses.size(); ++i) {
      std::vector<std::string> references;
      for (const auto& set : each["references"]) references.push_back(set[i]);
      counts += count_bleu(hypotheses[i], references, tokens);
    }
    const BleuScore score = bleu_score(counts);
    SCOPED_TRACE(each["name"].get<std::string>() + ", " + each["signature"].get<std::string>());
    EXPECT_EQ(std::vector(counts.matches.begin(), counts.matches.end()), each["matches"]);
    EXPECT_EQ(std::vector(counts.totals.begin(), counts.totals.end()), each["totals"]);
    EXPECT_EQ((std::vector{counts.hypothesis_length, counts.reference_length}), each["lengths"]);
    EXPECT_EQ(to_text(score), each["text"]);
    EXPECT_EQ(bleu_signature(each["references"].size(), tokens), each["signature"]);
    worst = std::fmax(worst, std::abs(score.score - each["score"].get<double>()));
  }
  EXPECT_LE(worst, 1e-9);
  std::printf("largest difference of a score: %.1e\n", worst);
}

TEST(Bleu, AddsUpOverSegmentsInAnyOrder) {
  const BleuTokens tokens;
  const BleuCounts a = count_bleu("the cat sat on the mat", {"the cat sat on a mat"}, tokens);
  const BleuCounts b = count_bleu("a dog .", {"a dog barks ."}, tokens);
  BleuCounts ab = a, ba = b;
  ab += b;
  ba += a;
  EXPECT_EQ(to_text(bleu_score(ab)), to_text(bleu_score(ba)));
  EXPECT_EQ(ab.hypothesis_length, 9);
  EXPECT_EQ(ab.matches[0], 8);
}

TEST(Bleu, RefusesTextThatIsNotUtf8) {
  EXPECT_EQ(message_of<DataError>([] { bleu_tokens("a\xFF", {}); }),
            "text for BLEU: byte 2 of ' a\xFF ' is not UTF-8; convert the file");
}

}  // namespace
}  // namespace trireme::testing
