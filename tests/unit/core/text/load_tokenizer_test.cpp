#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/text/tokenizer.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string load_error(const std::filesystem::path& path) {
  try {
    load_tokenizer(path.string());
  } catch (const DataError& error) {
    return error.what();
  }
  return "accepted";
}

struct BadJson {
  const char* expected;
  std::function<void(json&)> spoil;
};

TEST(LoadTokenizer, RefusesWhatWouldChangeIdsWithTheFieldsName) {
  const json good = json::parse(
      json::parse(read_file(testing::test_folder() + "/oracle/tokenizer/bpe.json"))["tokenizer_json"]
          .get<std::string>());
  const std::vector<BadJson> table = {
      {"accepted", [](json&) {}},
      {"normalizer is {\"type\":\"NFC\"}",
       [](json& j) {
         j["normalizer"] = {{"type", "NFC"}};
       }},
      {"truncation is",
       [](json& j) {
         j["truncation"] = {{"max_length", 5}};
       }},
      {"padding is",
       [](json& j) {
         j["padding"] = {{"pad_id", 0}};
       }},
      {"pre_tokenizer is Whitespace",
       [](json& j) {
         j["pre_tokenizer"] = {{"type", "Whitespace"}};
       }},
      {"pre_tokenizer is null", [](json& j) { j["pre_tokenizer"] = nullptr; }},
      {"pre_tokenizer.add_prefix_space is true",
       [](json& j) { j["pre_tokenizer"]["add_prefix_space"] = true; }},
      {"pre_tokenizer.use_regex is false", [](json& j) { j["pre_tokenizer"]["use_regex"] = false; }},
      {"post_processor is TemplateProcessing",
       [](json& j) {
         j["post_processor"] = {{"type", "TemplateProcessing"}};
       }},
      {"model is Unigram, expected BPE", [](json& j) { j["model"]["type"] = "Unigram"; }},
      {"has no model", [](json& j) { j.erase("model"); }},
      {"model.dropout is 0.1", [](json& j) { j["model"]["dropout"] = 0.1; }},
      {"model.byte_fallback is true", [](json& j) { j["model"]["byte_fallback"] = true; }},
      {"model.ignore_merges is true", [](json& j) { j["model"]["ignore_merges"] = true; }},
      {"model.end_of_word_suffix is", [](json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }},
      {"vocabulary is not an object", [](json& j) { j["model"]["vocab"] = json::array(); }},
      {"has no whole number as id", [](json& j) { j["model"]["vocab"]["a"] = "x"; }},
      {"has id -1, expected 0 to", [](json& j) { j["model"]["vocab"]["a"] = -1; }},
      {"has id 9000000000000, expected 0 to", [](json& j) { j["model"]["vocab"]["a"] = 9000000000000; }},
      {"have the same id 3", [](json& j) { j["model"]["vocab"]["a"] = 3; }},
      {"is not written in GPT-2's byte symbols",
       [](json& j) { j["model"]["vocab"]["a b"] = j["model"]["vocab"].size(); }},
      {"model.merges is not a list", [](json& j) { j["model"]["merges"] = "a b"; }},
      {"model.merges has 7, expected two tokens", [](json& j) { j["model"]["merges"][0] = 7; }},
      {"merge 0 is 'ab', expected two tokens", [](json& j) { j["model"]["merges"][0] = "ab"; }},
      {"merge 0 is 'a b c', expected two tokens", [](json& j) { j["model"]["merges"][0] = "a b c"; }},
      {"merge 0 joins 'zzz', which is not in the vocabulary",
       [](json& j) { j["model"]["merges"][0] = "zzz a"; }},
      {"merge 1 repeats merge 0", [](json& j) { j["model"]["merges"][1] = j["model"]["merges"][0]; }},
      {"added_tokens is not a list", [](json& j) { j["added_tokens"] = 3; }},
      {"added_tokens has an entry without id or content", [](json& j) { j["added_tokens"] = {7}; }},
      {"is not special", [](json& j) { j["added_tokens"][0]["special"] = false; }},
      {"lstrip is true", [](json& j) { j["added_tokens"][0]["lstrip"] = true; }},
      {"has id 5, but 0 in the model's vocabulary", [](json& j) { j["added_tokens"][0]["id"] = 5; }},
      {"byte 97 has no token",
       [](json& j) {
         const int id = j["model"]["vocab"]["a"];
         j["model"]["vocab"].erase("a");
         j["model"]["vocab"]["qqq"] = id;
         j["model"]["merges"] = json::array();
       }},
  };
  const testing::TemporaryFolder folder;
  for (const auto& [expected, spoil] : table) {
    json bad = good;
    spoil(bad);
    EXPECT_THAT(load_error(folder.write("tokenizer.json", bad.dump())), HasSubstr(expected));
  }
}

TEST(LoadTokenizer, TakesSpecialTokensOutsideTheModelsVocabulary) {
  const json good = json::parse(
      json::parse(read_file(testing::test_folder() + "/oracle/tokenizer/bpe.json"))["tokenizer_json"]
          .get<std::string>());
  const testing::TemporaryFolder folder;
  const std::string expected = load_tokenizer(folder.write("a.json", good.dump()).string())->content_hash();
  json other = good;
  other["model"]["vocab"].erase(kEndOfDocument);
  other["added_tokens"].push_back(other["added_tokens"][0]);
  // The same added token twice leaves a gap in the ids.
  EXPECT_THAT(load_error(folder.write("b.json", other.dump())), HasSubstr("is empty"));
  other["added_tokens"].erase(1);
  EXPECT_EQ(load_tokenizer(folder.write("b.json", other.dump()).string())->content_hash(), expected);
}

TEST(LoadTokenizer, RefusesGarbage) {
  const testing::TemporaryFolder folder;
  const auto error_of = [&](const std::string& content) {
    return load_error(folder.write("tokenizer.json", content));
  };
  EXPECT_THAT(error_of(""), HasSubstr("not JSON"));
  EXPECT_THAT(error_of(std::string("\x7f"
                                   "ELF\0\xff\xfe",
                                   7)),
              HasSubstr("not JSON"));
  EXPECT_THAT(error_of("{\"model\": "), HasSubstr("not JSON"));
  EXPECT_THAT(error_of("[1, 2]"), HasSubstr("not an object"));
  EXPECT_THAT(error_of("null"), HasSubstr("not an object"));
  EXPECT_THAT(error_of("{}"), HasSubstr("pre_tokenizer is null"));
  EXPECT_THAT(error_of(std::string(100000, '[')), HasSubstr("not JSON"));
  EXPECT_THAT(load_error(folder.path() / "missing"), HasSubstr("No such file"));
  EXPECT_THAT(load_error(folder.write("empty/readme", "").parent_path()), HasSubstr("holds no tokenizer"));
}

TEST(LoadTokenizer, RefusesBadCharacterFiles) {
  const testing::TemporaryFolder folder;
  const auto error_of = [&](const std::string& rest) {
    return load_error(folder.write("tokenizer.json", "{\"type\": \"trireme-character\"" + rest + "}"));
  };
  const std::string tail = ", \"end_of_document\": false";
  EXPECT_EQ(error_of(", \"version\": 1, \"unit\": \"byte\", \"units\": [1, 2]" + tail), "accepted");
  EXPECT_THAT(error_of(""), HasSubstr("version"));
  EXPECT_THAT(error_of(", \"version\": 2"), HasSubstr("version 2 is not known"));
  EXPECT_THAT(error_of(", \"version\": 1, \"unit\": \"word\"" + tail), HasSubstr("unit is 'word'"));
  const std::string head = ", \"version\": 1, \"unit\": \"byte\", \"units\": ";
  EXPECT_THAT(error_of(head + "[]" + tail), HasSubstr("units is empty"));
  EXPECT_THAT(error_of(head + "[256]" + tail), HasSubstr("unit 0 is 256"));
  EXPECT_THAT(error_of(head + "[2, 1]" + tail), HasSubstr("ascending"));
  EXPECT_THAT(error_of(head + "[1, 1]" + tail), HasSubstr("each once"));
  EXPECT_THAT(error_of(head + "[-1]" + tail), HasSubstr("whole numbers"));
  EXPECT_THAT(error_of(head + "[1e99]" + tail), HasSubstr("whole numbers"));
  EXPECT_THAT(error_of(head + "[1]"), HasSubstr("end_of_document"));
}

TEST(LoadTokenizer, RefusesBadGpt2Files) {
  const testing::TemporaryFolder folder;
  const auto encoder = folder.write("encoder.json", R"({"a": 0, "b": 1, "ab": 2})");
  EXPECT_THAT(load_error(folder.path()), HasSubstr("vocab.bpe: cannot be opened"));
  folder.write("vocab.bpe", "#version: 0.2\na b\na b c\n");
  EXPECT_THAT(load_error(folder.path()), HasSubstr("vocab.bpe line 3: "));
  folder.write("vocab.bpe", "#version: 0.2\na x\n");
  EXPECT_THAT(load_error(encoder), HasSubstr("'x', which is not in the vocabulary"));
  folder.write("vocab.bpe", "");
  EXPECT_THAT(load_error(encoder), HasSubstr("byte 0 has no token"));
  folder.write("encoder.json", R"({"a": 0, "b": 2})");
  EXPECT_THAT(load_error(encoder), HasSubstr("has id 2, expected 0 to 1 without gaps"));
}

}  // namespace
}  // namespace trireme
