#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>

#include <CLI/CLI.hpp>
#include <iostream>
#include <sstream>

#include "core/base/error.h"
#include "core/data/indexed_dataset.h"
#include "core/text/tokenizer.h"
#include "launcher/commands/commands.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Ids = std::vector<int32_t>;

struct Outcome {
  ExitCode code = ExitCode::kOk;
  std::string out;
  std::string error;
};

/// Runs a command inside this process, as main does.
Outcome run(std::vector<std::string> arguments, const std::string& input = "") {
  CLI::App app("trireme");
  CommandAction action;
  add_prepare(app, action);
  add_tokenize(app, action);
  std::istringstream in(input);
  std::ostringstream out;
  std::streambuf* const old_in = std::cin.rdbuf(in.rdbuf());
  std::streambuf* const old_out = std::cout.rdbuf(out.rdbuf());
  Outcome outcome;
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app.parse(arguments);
    outcome.code = action();
  } catch (const CLI::ParseError& error) {
    outcome = {ExitCode::kUsage, "", error.what()};
  } catch (const Error& error) {
    outcome = {error.exit_code(), "", error.what()};
  }
  std::cin.rdbuf(old_in);
  std::cin.clear();
  std::cout.rdbuf(old_out);
  outcome.out = out.str();
  return outcome;
}

class PrepareTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    return folder_.write(name, text).string();
  }
  Ids tokens(const std::string& prefix) const {
    const IndexedDataset dataset(prefix);
    Ids ids(static_cast<size_t>(dataset.num_tokens()));
    dataset.copy_tokens(0, ids, 1 << 30);
    return ids;
  }
  std::string decoded(const std::string& prefix) const {
    return load_tokenizer(default_tokenizer_path(prefix))->decode(tokens(prefix), SpecialTokens::kParse);
  }
  /// What lies in the output folder, by name.
  std::vector<std::string> written() const {
    std::vector<std::string> names;
    if (fs::exists(path("out")))
      for (const auto& entry : fs::directory_iterator(path("out")))
        names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  testing::TemporaryFolder folder_;
};

TEST_F(PrepareTest, MakesADocumentOfEachFileOfAFolder) {
  write("in/b.h", "int b;\n");
  write("in/a.h", "int a; // <|endoftext|>\n");
  write("in/deep/c.hpp", "int c;\n");
  write("in/deep/d.txt", "not wanted");
  write("in/deep/empty.h", "");
  const Outcome outcome = run({"prepare", "--input", path("in"), "--include", "*.h", "--include", "*.hpp",
                               "--train-tokenizer", "bpe", "--vocab-size", "270", "--output", path("out/x")});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.error;
  EXPECT_THAT(outcome.out, HasSubstr("documents  3 (1 empty left out)"));
  EXPECT_THAT(outcome.out, HasSubstr("byte-level BPE"));
  EXPECT_THAT(written(), ElementsAre("x-tokenizer", "x.bin", "x.idx"));
  const IndexedDataset dataset(path("out/x"));
  ASSERT_EQ(dataset.num_documents(), 3);
  EXPECT_EQ(decoded(path("out/x")),
            "int a; // <|endoftext|>\n<|endoftext|>int b;\n<|endoftext|>int c;\n<|endoftext|>");
  // The special token itself stands only at the ends: a text cannot forge one.
  const auto tokenizer = load_tokenizer(path("out/x-tokenizer"));
  const Ids ids = tokens(path("out/x"));
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer->end_of_document_id()), 3);
  EXPECT_EQ(ids[dataset.document_begin(1) - 1], tokenizer->end_of_document_id());
}

TEST_F(PrepareTest, TakesTheLinesOfJsonlFiles) {
  const std::string file = write(
      "in.jsonl", "{\"text\": \"one\\n\"}\n\n  \n{\"id\": 3, \"text\": \"two \\u00e9\"}\r\n{\"text\": \"\"}");
  ASSERT_EQ(run({"prepare", "--input", file, "--vocab-size", "257", "--output", path("out/x")}).code,
            ExitCode::kOk);
  EXPECT_EQ(decoded(path("out/x")), "one\n<|endoftext|>two é<|endoftext|>");
  const std::string other = write("other.jsonl", "{\"body\": \"one\"}");
  ASSERT_EQ(run({"prepare", "--input", other, "--jsonl-key", "body", "--train-tokenizer", "character",
                 "--output", path("out/y")})
                .code,
            ExitCode::kOk);
  EXPECT_EQ(decoded(path("out/y")), "one");
}

TEST_F(PrepareTest, TakesAHugeLineWithoutWhiteSpace) {
  const std::string text(1 << 20, 'x');
  const std::string file = write("huge.jsonl", "{\"text\": \"" + text + "\"}\n");
  ASSERT_EQ(run({"prepare", "--input", file, "--vocab-size", "260", "--output", path("out/x")}).code,
            ExitCode::kOk);
  EXPECT_EQ(decoded(path("out/x")), text + "<|endoftext|>");
}

TEST_F(PrepareTest, MakesCharactersAsNanoGptDoes) {
  const std::string file = write("in.txt", "hello\nworld");
  const Outcome outcome =
      run({"prepare", "--input", file, "--train-tokenizer", "character", "--output", path("out/x")});
  ASSERT_EQ(outcome.code, ExitCode::kOk);
  EXPECT_THAT(outcome.out, HasSubstr("character, 8 tokens, no end-of-document token"));
  EXPECT_THAT(tokens(path("out/x")), ElementsAre(3, 2, 4, 4, 5, 0, 7, 5, 6, 4, 1));
  ASSERT_EQ(run({"prepare", "--input", file, "--train-tokenizer", "character", "--character-unit", "byte",
                 "--end-of-document", "--output", path("out/y")})
                .code,
            ExitCode::kOk);
  EXPECT_EQ(tokens(path("out/y")).back(), 8);
}

TEST_F(PrepareTest, UsesAGivenTokenizerAndKeepsACopyBesideTheOutput) {
  const std::string file = write("in.txt", "hello world, hello world");
  ASSERT_EQ(run({"prepare", "--input", file, "--vocab-size", "280", "--output", path("out/x")}).code,
            ExitCode::kOk);
  const std::string tokenizer = path("out/x-tokenizer");
  ASSERT_EQ(run({"prepare", "--input", file, "--tokenizer", tokenizer, "--output", path("out/y")}).code,
            ExitCode::kOk);
  EXPECT_EQ(testing::read_file(path("out/y.bin")), testing::read_file(path("out/x.bin")));
  EXPECT_EQ(load_tokenizer(path("out/y-tokenizer"))->content_hash(),
            load_tokenizer(tokenizer)->content_hash());
}

TEST_F(PrepareTest, WritesTheSameWithAnyNumberOfThreads) {
  std::string text;
  for (int i = 0; i < 300000; ++i) text += "word" + std::to_string(i % 1013) + (i % 7 ? " " : "\n");
  const std::string big = write("in/big.txt", text);
  write("in/small.txt", "caf\xE9 \xFF bytes that are not UTF-8\n");
  for (const char* threads : {"1", "4"})
    ASSERT_EQ(run({"prepare", "--input", path("in"), "--vocab-size", "400", "--threads", threads, "--output",
                   path("out/") + threads})
                  .code,
              ExitCode::kOk);
  for (const char* suffix : {".bin", ".idx", "-tokenizer/tokenizer.json"})
    EXPECT_EQ(testing::read_file(path(std::string("out/1") + suffix)),
              testing::read_file(path(std::string("out/4") + suffix)));
  EXPECT_EQ(decoded(path("out/1")),
            text + "<|endoftext|>caf\xE9 \xFF bytes that are not UTF-8\n<|endoftext|>");
}

TEST_F(PrepareTest, ReplacesOutputOnlyWhenAsked) {
  const std::string first = write("a.txt", "first"), second = write("b.txt", "second text");
  const auto prepare = [&](const std::string& input, bool overwrite) {
    std::vector<std::string> arguments = {"prepare",   "--input",  input,        "--train-tokenizer",
                                          "character", "--output", path("out/x")};
    if (overwrite) arguments.emplace_back("--overwrite");
    return run(arguments);
  };
  ASSERT_EQ(prepare(first, false).code, ExitCode::kOk);
  const Outcome refused = prepare(second, false);
  EXPECT_EQ(refused.code, ExitCode::kCannotCreate);
  EXPECT_THAT(refused.error, HasSubstr("x.bin exists already; give another --output, or --overwrite"));
  EXPECT_EQ(decoded(path("out/x")), "first");
  ASSERT_EQ(prepare(second, true).code, ExitCode::kOk);
  EXPECT_EQ(decoded(path("out/x")), "second text");
  // A replacement that fails keeps what was there.
  EXPECT_EQ(prepare(write("empty.txt", ""), true).code, ExitCode::kBadData);
  EXPECT_EQ(decoded(path("out/x")), "second text");
  EXPECT_THAT(written(), ElementsAre("x-tokenizer", "x.bin", "x.idx"));
}

TEST_F(PrepareTest, RefusesBadInputAndWritesNothing) {
  const std::string good = write("good.txt", "text");
  const std::string good_line = "{\"text\": \"text\"}\n";
  struct Case {
    std::vector<std::string> arguments;
    ExitCode code;
    std::string expected;
  };
  const std::string latin1 = write("latin1.txt", "caf\xE9");
  const std::vector<Case> table = {
      {{"--input", path("missing.txt")}, ExitCode::kBadData, "missing.txt: cannot be read: No such file"},
      {{"--input", good, "/dev/null"}, ExitCode::kBadData, "/dev/null: is not a regular file"},
      {{"--input", write("empty.txt", "")}, ExitCode::kBadData, "there is no text to train a tokenizer on"},
      {{"--input", folder_.path().string(), "--include", "*.nothing"},
       ExitCode::kBadData,
       "no file in this folder matches *.nothing"},
      {{"--input", write("broken.jsonl", good_line + "{\"text\": ")},
       ExitCode::kBadData,
       "broken.jsonl:2: not JSON"},
      {{"--input", write("utf8.jsonl", good_line + good_line + "{\"text\": \"\xFF\"}")},
       ExitCode::kBadData,
       "utf8.jsonl:3: not JSON"},
      {{"--input", write("key.jsonl", good_line + "\n{\"body\": 1}")},
       ExitCode::kBadData,
       "key.jsonl:3: has no key 'text'"},
      {{"--input", write("type.jsonl", "{\"text\": 7}")},
       ExitCode::kBadData,
       "type.jsonl:1: 'text' is number, expected a string"},
      {{"--input", write("list.jsonl", "[1]")}, ExitCode::kBadData, "list.jsonl:1: not a JSON object"},
      {{"--input", good, latin1, "--train-tokenizer", "character"},
       ExitCode::kBadData,
       "latin1.txt: byte 3 of the text (0xE9) is not UTF-8"},
      {{"--input", good, "--vocab-size", "256"}, ExitCode::kUsage, "expected at least 257"},
      {{"--input", good, "--min-frequency", "0"}, ExitCode::kUsage, "--min-frequency"},
      {{"--input", good, "--tokenizer", path("none")}, ExitCode::kBadData, "none: cannot be opened"},
      {{"--input", good, "--tokenizer", good}, ExitCode::kBadData, "the vocabulary has no [UNK]"},
      {{"--input", good, "--tokenizer", good, "--train-tokenizer", "bpe"}, ExitCode::kUsage, "excludes"},
      {{"--input", good, "--tokenizer", good, "--vocab-size", "300"},
       ExitCode::kUsage,
       "--vocab-size is for training a tokenizer"},
      {{"--input", good, "--character-unit", "byte"}, ExitCode::kUsage, "--character-unit is for"},
      {{"--input", good, "--train-tokenizer", "character", "--vocab-size", "300"},
       ExitCode::kUsage,
       "--vocab-size is for --train-tokenizer bpe"},
      {{"--input", good, "--train-tokenizer", "words"}, ExitCode::kUsage, "words"},
      {{"--input", good, "--jsonl-key", "body"}, ExitCode::kUsage, "no --input ends in .jsonl"},
      {{"--input", good, "--include", "*.h"}, ExitCode::kUsage, "no --input is a folder"},
      {{"--input", good, "--threads", "0"}, ExitCode::kUsage, "--threads"},
      {{}, ExitCode::kUsage, "--input is required"},
  };
  for (const auto& [arguments, code, expected] : table) {
    SCOPED_TRACE(expected);
    std::vector<std::string> all = {"prepare", "--output", path("out/x")};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome outcome = run(all);
    EXPECT_EQ(outcome.code, code);
    EXPECT_THAT(outcome.error, HasSubstr(expected));
    EXPECT_THAT(written(), ElementsAre());
  }
}

TEST_F(PrepareTest, NamesTheFileWhoseTextATokenizerCannotTake) {
  const std::string known = write("a.txt", "abc"), unknown = write("b.txt", "abcd");
  ASSERT_EQ(
      run({"prepare", "--input", known, "--train-tokenizer", "character", "--output", path("out/x")}).code,
      ExitCode::kOk);
  const Outcome outcome = run({"prepare", "--input", known, unknown, "--tokenizer", path("out/x-tokenizer"),
                               "--output", path("out/y")});
  EXPECT_EQ(outcome.code, ExitCode::kBadData);
  EXPECT_THAT(outcome.error, HasSubstr("b.txt: U+0064 at byte 3 of the text is not in the vocabulary"));
  EXPECT_THAT(written(), ElementsAre("x-tokenizer", "x.bin", "x.idx"));
}

TEST_F(PrepareTest, SaysThatTheOutputCannotBeCreated) {
  const std::string file = write("in.txt", "text");
  const Outcome outcome =
      run({"prepare", "--input", file, "--train-tokenizer", "character", "--output", file + "/x"});
  EXPECT_EQ(outcome.code, ExitCode::kCannotCreate);
  EXPECT_THAT(outcome.error, HasSubstr("cannot make the folder"));
}

class TokenizeTest : public PrepareTest {
 protected:
  void SetUp() override {
    const std::string file = write("in.txt", "ab ab");
    ASSERT_EQ(run({"prepare", "--input", file, "--vocab-size", "258", "--output", path("x")}).code,
              ExitCode::kOk);
  }
  Outcome tokenize(std::vector<std::string> flags, const std::string& input) {
    flags.insert(flags.begin(), {"tokenize", "--tokenizer", path("x-tokenizer")});
    return run(flags, input);
  }
};

TEST_F(TokenizeTest, TurnsLinesIntoJsonArraysAndBack) {
  // Ids: <|endoftext|> 0, the bytes from '!' 1, the merge "ab" 257.
  const Outcome encoded = tokenize({}, "ab\n\na<|endoftext|>b\n!");
  EXPECT_EQ(encoded.out, "[257]\n[]\n[65, 0, 66]\n[1]\n");
  EXPECT_EQ(tokenize({"--decode"}, encoded.out).out, "ab\n\na<|endoftext|>b\n!\n");
  EXPECT_EQ(tokenize({"--decode", "--no-special-tokens"}, "[65, 0, 66]").out, "ab\n");
}

TEST_F(TokenizeTest, ParsesNoSpecialTokensWithoutThem) {
  EXPECT_THAT(tokenize({"--no-special-tokens"}, "<|endoftext|>").out, StartsWith("[28, "));
}

TEST_F(TokenizeTest, RefusesBadInputNamingTheLine) {
  for (const auto& [line, expected] : std::vector<std::pair<std::string, std::string>>{
           {"[1, 258]", "line 2: token id 258 is outside the vocabulary of 258"},
           {"[-1]", "line 2: -1 is no token id"},
           {"[1.5]", "line 2: 1.5 is no token id"},
           {"[99999999999]", "line 2: 99999999999 is no token id"},
           {"{}", "line 2: expected a JSON array of ids"},
           {"[1", "line 2: expected a JSON array of ids"},
           {"", "line 2: expected a JSON array of ids"}}) {
    const Outcome outcome = tokenize({"--decode"}, "[1]\n" + line + "\n");
    EXPECT_EQ(outcome.code, ExitCode::kBadData);
    EXPECT_THAT(outcome.error, HasSubstr(expected));
    EXPECT_EQ(outcome.out, "!\n");
  }
  EXPECT_EQ(run({"tokenize", "--tokenizer", path("nowhere")}).code, ExitCode::kBadData);
  EXPECT_EQ(run({"tokenize"}).code, ExitCode::kUsage);
}

}  // namespace
}  // namespace trireme
