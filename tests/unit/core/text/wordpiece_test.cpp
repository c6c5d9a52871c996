#include "core/text/wordpiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/text/unicode.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

WordPieceVocabulary small_vocabulary() {
  return {.tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "##a", "want",
                     "##ed", ",", "[", "]", "mask"},
          .text = {}};
}

std::string utf8(char32_t code_point) {
  std::string text;
  append_utf8(text, code_point);
  return text;
}

std::string data_folder() {
  const char* data = std::getenv("TRIREME_DATA_DIR");
  return data ? data : "";
}

TEST(WordPiece, TakesTheLongestTokenThatFits) {
  const WordPieceTokenizer tokenizer(small_vocabulary());
  EXPECT_THAT(tokenizer.encode("UNwanted, unaffable", SpecialTokens::kParse), ElementsAre(1, 11, 5, 6, 7));
  EXPECT_THAT(tokenizer.encode("unaffa wanted", SpecialTokens::kParse), ElementsAre(5, 6, 8, 9, 10));
  EXPECT_EQ(tokenizer.kind(), "WordPiece");
}

TEST(WordPiece, GivesOneUnknownForAWordItCannotSpellOrThatIsTooLong) {
  WordPieceVocabulary vocabulary = small_vocabulary();
  EXPECT_THAT(WordPieceTokenizer(vocabulary).encode("wantX x", SpecialTokens::kParse), ElementsAre(1, 1));
  const std::string word = "un" + std::string(98, 'a');
  EXPECT_EQ(WordPieceTokenizer(vocabulary).encode(word, SpecialTokens::kParse).size(), 99u);
  EXPECT_THAT(WordPieceTokenizer(vocabulary).encode(word + "a", SpecialTokens::kParse), ElementsAre(1));
  vocabulary.max_word_length = 200;
  EXPECT_EQ(WordPieceTokenizer(vocabulary).encode(word + "a", SpecialTokens::kParse).size(), 100u);
}

TEST(WordPiece, KnowsWhatItsSpecialTokensAreFor) {
  const WordPieceTokenizer tokenizer(small_vocabulary());
  const SpecialIds& special = tokenizer.special();
  EXPECT_EQ(special.pad, 0);
  EXPECT_EQ(special.unknown, 1);
  EXPECT_EQ(special.cls, 2);
  EXPECT_EQ(special.sep, 3);
  EXPECT_EQ(special.mask, 4);
  EXPECT_EQ(special.begin, std::nullopt);
  EXPECT_EQ(tokenizer.end_of_document_id(), std::nullopt);
  EXPECT_THAT(tokenizer.encode("want[MASK]un", SpecialTokens::kParse), ElementsAre(9, 4, 5));
  EXPECT_THAT(tokenizer.encode("want[MASK]", SpecialTokens::kIgnore), ElementsAre(9, 12, 14, 13));
}

TEST(WordPiece, JoinsPiecesWhenDecoding) {
  const WordPieceTokenizer tokenizer(small_vocabulary());
  const Ids ids = {2, 5, 6, 7, 11, 9, 10, 3, 0};
  EXPECT_EQ(tokenizer.decode(ids, SpecialTokens::kIgnore), "unaffable , wanted");
  EXPECT_EQ(tokenizer.decode(ids, SpecialTokens::kParse), "[CLS] unaffable , wanted [SEP] [PAD]");
  EXPECT_EQ(tokenizer.encode(tokenizer.decode(ids, SpecialTokens::kParse), SpecialTokens::kParse), ids);
  EXPECT_THROW(tokenizer.decode(Ids{15}, SpecialTokens::kParse), DataError);
}

TEST(WordPiece, TakesAnyBytes) {
  const WordPieceTokenizer tokenizer(small_vocabulary());
  EXPECT_THAT(tokenizer.encode(std::string("u\0n\xFF want\xC3", 10), SpecialTokens::kParse),
              ElementsAre(5, 9));
  EXPECT_THAT(tokenizer.encode("", SpecialTokens::kParse), ElementsAre());
  EXPECT_THAT(tokenizer.encode(std::string(1 << 20, 'a'), SpecialTokens::kParse), ElementsAre(1));
  const unsigned seed = 20261121;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::string text(random() % 100, '\0');
    for (char& byte : text) byte = static_cast<char>(random());
    const Ids ids = tokenizer.encode(text, SpecialTokens::kIgnore);
    const Ids again = tokenizer.encode(tokenizer.decode(ids, SpecialTokens::kParse), SpecialTokens::kParse);
    ASSERT_EQ(again, ids);
  }
}

TEST(WordPiece, EncodesLongTextAsItsParts) {
  const WordPieceTokenizer tokenizer(small_vocabulary());
  std::string text;
  Ids expected;
  for (int i = 0; i < 60000; ++i) {
    text += i % 7 ? "unaffable " : "\xC3\xA9 ";
    const Ids word = i % 7 ? Ids{5, 6, 7} : Ids{1};
    expected.insert(expected.end(), word.begin(), word.end());
  }
  EXPECT_EQ(tokenizer.encode(text, SpecialTokens::kIgnore), expected);
}

TEST(WordPiece, RefusesContradictoryVocabularies) {
  const auto message_of = [](const std::function<void(WordPieceVocabulary&)>& spoil) -> std::string {
    WordPieceVocabulary vocabulary = small_vocabulary();
    spoil(vocabulary);
    try {
      const WordPieceTokenizer tokenizer(vocabulary);
    } catch (const DataError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message_of([](auto& v) { v.tokens.erase(v.tokens.begin()); }), "accepted");
  EXPECT_THAT(message_of([](auto& v) { v.tokens[1] = "x"; }), HasSubstr("has no [UNK]"));
  EXPECT_THAT(message_of([](auto& v) { v.tokens[7] = ""; }), HasSubstr("token 7 is empty"));
  EXPECT_THAT(message_of([](auto& v) { v.tokens[7] = "##a"; }), HasSubstr("tokens 7 and 8 are both '##a'"));
  EXPECT_THAT(message_of([](auto& v) { v.max_word_length = 0; }), HasSubstr("words of at most 0 characters"));
}

class BertFixture : public ::testing::Test {
 protected:
  static BertTextOptions options_of(const json& options) {
    return {.clean_text = options[0],
            .space_cjk = options[1],
            .strip_accents = options[2],
            .lower_case = options[3]};
  }
  json fixture_ = json::parse(read_file(testing::test_folder() + "/oracle/tokenizer/wordpiece.json"));
};

TEST_F(BertFixture, ClassifiesEveryStableCodePointLikeHuggingFace) {
  const BertTextOptions cased{.strip_accents = false, .lower_case = false};
  int64_t count = 0;
  for (const auto& run : fixture_["classes"]) {
    for (char32_t c = run[0]; c <= run[1].get<char32_t>(); ++c, ++count) {
      const std::string normalized = normalize_bert_text("a" + utf8(c) + "b", cased);
      const auto words = split_bert_words(normalized);
      const std::string found = words.size() == 3        ? "word"
                                : words.size() == 2      ? "space"
                                : normalized.size() == 2 ? "none"
                                                         : "letter";
      ASSERT_EQ(found, run[2].get<std::string>()) << "U+" << std::hex << static_cast<uint32_t>(c);
    }
  }
  EXPECT_GT(count, 200000);
}

TEST_F(BertFixture, FoldsEveryStableCodePointLikeHuggingFace) {
  const BertTextOptions fold{.clean_text = false, .space_cjk = false};
  EXPECT_GT(fixture_["folded"].size(), 2000u);
  for (const auto& run : fixture_["classes"]) {
    for (char32_t c = run[0]; c <= run[1].get<char32_t>() && c < 0x30000; ++c) {
      if (c >= 0xAC10 && c <= 0xD7A0) continue;
      const std::string text = utf8(c);
      const auto changed = fixture_["folded"].find(text);
      const std::string expected = changed == fixture_["folded"].end() ? text : changed->get<std::string>();
      ASSERT_EQ(normalize_bert_text(text, fold), expected) << "U+" << std::hex << static_cast<uint32_t>(c);
    }
  }
}

TEST_F(BertFixture, CutsAndEncodesOddTextsLikeHuggingFace) {
  ASSERT_EQ(fixture_["cases"].size(), 5u);
  for (const auto& wanted : fixture_["cases"]) {
    const json& options = wanted["options"];
    SCOPED_TRACE(options.dump());
    const WordPieceTokenizer tokenizer({fixture_["tokens"], options_of(options), options[4]});
    for (size_t i = 0; i < fixture_["texts"].size(); ++i) {
      const std::string text = fixture_["texts"][i];
      const std::string normalized = normalize_bert_text(text, options_of(options));
      std::vector<std::string> words;
      for (const auto word : split_bert_words(normalized)) words.emplace_back(word);
      EXPECT_EQ(words, wanted["words"][i].get<std::vector<std::string>>()) << fixture_["texts"][i];
      EXPECT_EQ(tokenizer.encode(text, SpecialTokens::kIgnore), wanted["ids"][i].get<Ids>())
          << fixture_["texts"][i];
    }
  }
}

TEST_F(BertFixture, LoadsAndSavesHuggingFacesFile) {
  const testing::TemporaryFolder folder;
  const auto path = folder.write("theirs/tokenizer.json", fixture_["tokenizer_json"].get<std::string>());
  const auto loaded = load_tokenizer(path.string());
  const json& options = fixture_["cases"][1]["options"];
  const WordPieceTokenizer made({fixture_["tokens"], options_of(options), options[4]});
  EXPECT_EQ(loaded->content_hash(), made.content_hash());
  made.save((folder.path() / "ours").string());
  EXPECT_EQ(load_tokenizer((folder.path() / "ours").string())->content_hash(), made.content_hash());
  // The same fields with the same values, but for what has no part in encoding.
  auto theirs = json::parse(read_file(path.string()));
  auto ours = json::parse(read_file((folder.path() / "ours/tokenizer.json").string()));
  for (const char* key : {"decoder", "post_processor"}) theirs.erase(key), ours.erase(key);
  EXPECT_EQ(ours, theirs);
}

TEST_F(BertFixture, HashesAndKeepsEveryOption) {
  const testing::TemporaryFolder folder;
  std::vector<std::string> hashes;
  for (const auto& wanted : fixture_["cases"]) {
    const WordPieceTokenizer made({fixture_["tokens"], options_of(wanted["options"]), wanted["options"][4]});
    hashes.push_back(made.content_hash());
    made.save(folder.path().string());
    EXPECT_EQ(load_tokenizer(folder.path().string())->content_hash(), hashes.back());
  }
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end());
}

TEST_F(BertFixture, RefusesWhatWouldChangeIdsWithTheFieldsName) {
  struct BadJson {
    const char* expected;
    std::function<void(json&)> spoil;
  };
  const std::vector<BadJson> table = {
      {"accepted", [](json&) {}},
      {"accepted",
       [](json& j) {
         j["post_processor"] = {{"type", "BertProcessing"}};
       }},
      {"accepted", [](json& j) { j["normalizer"]["strip_accents"] = nullptr; }},
      {"normalizer is Lowercase, expected BertNormalizer",
       [](json& j) { j["normalizer"]["type"] = "Lowercase"; }},
      {"normalizer is null", [](json& j) { j["normalizer"] = nullptr; }},
      {"normalizer is not an object", [](json& j) { j["normalizer"] = "BertNormalizer"; }},
      {"pre_tokenizer is Whitespace", [](json& j) { j["pre_tokenizer"]["type"] = "Whitespace"; }},
      {"truncation is",
       [](json& j) {
         j["truncation"] = {{"max_length", 5}};
       }},
      {"padding is",
       [](json& j) {
         j["padding"] = {{"pad_id", 0}};
       }},
      {"post_processor is ByteLevel",
       [](json& j) {
         j["post_processor"] = {{"type", "ByteLevel"}};
       }},
      {"post_processor adds '<s>'",
       [](json& j) {
         j["post_processor"] = {{"type", "TemplateProcessing"}, {"special_tokens", {{"<s>", 1}}}};
       }},
      {"special_tokens is not an object",
       [](json& j) {
         j["post_processor"] = {{"type", "TemplateProcessing"}};
       }},
      {"lowercase is 1, expected true or false", [](json& j) { j["normalizer"]["lowercase"] = 1; }},
      {"model.unk_token is \"<unk>\"", [](json& j) { j["model"]["unk_token"] = "<unk>"; }},
      {"model.continuing_subword_prefix is \"\"",
       [](json& j) { j["model"]["continuing_subword_prefix"] = ""; }},
      {"model.max_input_chars_per_word is null",
       [](json& j) { j["model"].erase("max_input_chars_per_word"); }},
      {"model.max_input_chars_per_word is 0", [](json& j) { j["model"]["max_input_chars_per_word"] = 0; }},
      {"the vocabulary is not an object", [](json& j) { j["model"].erase("vocab"); }},
      {"has id 99999", [](json& j) { j["model"]["vocab"]["[UNK]"] = 99999; }},
      {"added_tokens is not a list", [](json& j) { j["added_tokens"] = 3; }},
      {"special token '<x>' is not supported",
       [](json& j) {
         j["added_tokens"].push_back(j["added_tokens"][0]);
         j["added_tokens"].back()["content"] = "<x>";
         j["added_tokens"].back()["id"] = j["model"]["vocab"].size();
       }},
      {"has no [UNK]",
       [](json& j) {
         j["added_tokens"] = json::array();
         const int id = j["model"]["vocab"]["[UNK]"];
         j["model"]["vocab"].erase("[UNK]");
         j["model"]["vocab"]["qqq"] = id;
       }},
  };
  const json good = json::parse(fixture_["tokenizer_json"].get<std::string>());
  const testing::TemporaryFolder folder;
  for (const auto& [expected, spoil] : table) {
    json bad = good;
    spoil(bad);
    const auto path = folder.write("tokenizer.json", bad.dump());
    std::string message = "accepted";
    try {
      load_tokenizer(path.string());
    } catch (const DataError& error) {
      message = error.what();
      EXPECT_THAT(message, HasSubstr("tokenizer.json: "));
    }
    EXPECT_THAT(message, HasSubstr(expected));
  }
}

TEST(VocabTxt, TakesTheOptionsBesideIt) {
  const testing::TemporaryFolder folder;
  const auto path = folder.write("vocab.txt", "[UNK]\r\n\xC3\x84pfel\r\napfel\r\n\xC3\xA4pfel\r\n");
  const auto encode = [&] {
    return load_tokenizer(path.string())->encode("\xC3\x84pfel", SpecialTokens::kParse);
  };
  EXPECT_THAT(encode(), ElementsAre(2));
  folder.write("tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_THAT(encode(), ElementsAre(1));
  folder.write("tokenizer_config.json", R"({"do_lower_case": true, "strip_accents": false})");
  EXPECT_THAT(encode(), ElementsAre(3));
  EXPECT_THAT(load_tokenizer(folder.path().string())->encode("apfel", SpecialTokens::kParse), ElementsAre(2));
  folder.write("tokenizer_config.json", R"({"do_lower_case": "no"})");
  EXPECT_THROW(encode(), DataError);
  folder.write("tokenizer_config.json", "[1]");
  EXPECT_THROW(encode(), DataError);
}

TEST(VocabTxt, RefusesBrokenFilesNamingThem) {
  const testing::TemporaryFolder folder;
  for (const auto& [content, expected] : std::vector<std::pair<std::string, const char*>>{
           {"", "vocab.txt: the vocabulary has no [UNK]"},
           {"[UNK]\n\na\n", "vocab.txt: line 2 is empty"},
           {"[UNK]\na\na\n", "vocab.txt: tokens 1 and 2 are both 'a'"},
           {"hello world\n", "vocab.txt: the vocabulary has no [UNK]"}}) {
    std::string message = "accepted";
    try {
      load_tokenizer(folder.write("vocab.txt", content).string());
    } catch (const DataError& error) {
      message = error.what();
    }
    EXPECT_THAT(message, HasSubstr(expected));
  }
}

TEST(BertVocabulary, PassesTheConformanceVectors) {
  if (data_folder().empty()) GTEST_SKIP() << "TRIREME_DATA_DIR is not set";
  const auto tokenizer = load_tokenizer(data_folder() + "/bert-wordpiece");
  EXPECT_EQ(tokenizer->vocab_size(), 30522);
  EXPECT_EQ(tokenizer->special().mask, 103);
  const std::string base = data_folder() + "/tokenizer-vectors/ggml-vocab-bert-bge.gguf";
  const std::string inputs = read_file(base + ".inp"), separator = "\n__ggml_vocab_test__\n";
  std::istringstream lines(read_file(base + ".out"));
  std::string line;
  int count = 0;
  // Behind the last separator is the 47th text, which is empty and has no ids.
  for (size_t begin = 0; begin <= inputs.size(); ++count) {
    const size_t end = std::min(inputs.find(separator, begin), inputs.size());
    const std::string text = inputs.substr(begin, end - begin);
    begin = end + separator.size();
    if (!std::getline(lines, line)) line.clear();
    std::istringstream numbers(line);
    Ids expected;
    for (int32_t id; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(tokenizer->encode(text, SpecialTokens::kIgnore), expected) << "text " << count << ": " << text;
  }
  EXPECT_EQ(count, 47);
}

}  // namespace
}  // namespace trireme
