#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>

#include <CLI/CLI.hpp>
#include <iostream>
#include <sstream>

#include "core/base/error.h"
#include "core/data/indexed_dataset.h"
#include "core/data/labels_file.h"
#include "core/text/tokenizer.h"
#include "launcher/commands/commands.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
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
  EXPECT_THAT(refused.error, HasSubstr("x.idx exists already; give another --output, or --overwrite"));
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
      {{"--input", good, "--train-tokenizer", "letters"}, ExitCode::kUsage, "letters"},
      {{"--input", good, "--keep-case"},
       ExitCode::kUsage,
       "--keep-case is for --train-tokenizer wordpiece or words"},
      {{"--input", good, "--max-word-length", "7"}, ExitCode::kUsage, "is for --train-tokenizer wordpiece"},
      {{"--input", good, "--train-tokenizer", "words", "--keep-accents"},
       ExitCode::kUsage,
       "--keep-accents is for"},
      {{"--input", good, "--sentencepiece-model", "bpe"},
       ExitCode::kUsage,
       "--train-tokenizer sentencepiece"},
      {{"--input", good, "--train-tokenizer", "sentencepiece", "--min-frequency", "3"},
       ExitCode::kUsage,
       "--min-frequency is for"},
      {{"--input", good, "--train-tokenizer", "sentencepiece", "--vocab-size", "4"},
       ExitCode::kUsage,
       "SentencePiece cannot learn 4 pieces"},
      {{"--input", good, "--train-tokenizer", "wordpiece", "--vocab-size", "6"},
       ExitCode::kUsage,
       "a WordPiece vocabulary of 6 tokens is not possible"},
      {{"--input", good, "--train-tokenizer", "words", "--vocab-size", "4"}, ExitCode::kUsage, "of 4 words"},
      {{"--input", good, "--source", good, "--target", good}, ExitCode::kUsage, "2 inputs were given"},
      {{"--source", good}, ExitCode::kUsage, "--source and --target belong together"},
      {{"--pairs", good, "--sentences"}, ExitCode::kUsage, "--sentences is for --input"},
      {{"--input", good, "--separate-tokenizers"}, ExitCode::kUsage, "--separate-tokenizers is for --source"},
      {{"--input", good, "--target-tokenizer", good}, ExitCode::kUsage, "--target-tokenizer requires"},
      {{"--input", good, "--columns", "label,sentence"}, ExitCode::kUsage, "--columns is for --labelled"},
      {{"--labelled", good, "--columns", "label,words"}, ExitCode::kUsage, "words"},
      {{"--labelled", good, "--columns", "label,label"},
       ExitCode::kUsage,
       "the columns have no label or no sentence"},
      {{"--labelled", good}, ExitCode::kBadData, "good.txt:1: has 1 columns between tabs, expected 2"},
      {{"--labelled", write("nolabel.tsv", "1\ta\n\tb\n")},
       ExitCode::kBadData,
       "nolabel.tsv:2: has no label"},
      {{"--labelled", write("empty.tsv", "")},
       ExitCode::kBadData,
       "there is no text to train a tokenizer on"},
      {{"--source", write("two.de", "a\nb\n"), "--target", write("three.en", "a\nb\n\n")},
       ExitCode::kBadData,
       "two.de has 2 lines and " + path("three.en") + " has 3"},
      {{"--source", path("three.en"), "--target", path("two.de")},
       ExitCode::kBadData,
       "three.en has 3 lines and"},
      {{"--source", good, "--target", path("missing.en")}, ExitCode::kBadData, "missing.en: cannot be read"},
      {{"--pairs", write("pairs.jsonl", "{\"source\": \"a\", \"target\": \"b\"}\n\n{\"source\": 1}\n")},
       ExitCode::kBadData,
       "pairs.jsonl:3: 'source' is number, expected a string"},
      {{"--pairs", write("half.jsonl", "{\"source\": \"a\"}\n")},
       ExitCode::kBadData,
       "half.jsonl:1: has no key 'target'"},
      {{"--pairs", good}, ExitCode::kBadData, "good.txt:1' is not valid JSON"},
      {{"--input", write("damaged.gz", "\x1f\x8b\x08 damaged")},
       ExitCode::kBadData,
       "damaged.gz: cannot be unpacked"},
      {{"--input", good, "--jsonl-key", "body"}, ExitCode::kUsage, "no --input ends in .jsonl"},
      {{"--input", good, "--include", "*.h"}, ExitCode::kUsage, "no --input is a folder"},
      {{"--input", good, "--threads", "0"}, ExitCode::kUsage, "--threads"},
      {{}, ExitCode::kUsage, "0 inputs were given; expected one of --input"},
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

TEST_F(PrepareTest, KeepsSentencesAndTheirDocuments) {
  const std::string file = write("in.txt", "\nOne dog.\nTwo  dogs!\r\n\n \n\nA cat.\n\x07\n\n\x07\n"),
                    json = write("more.jsonl", "{\"text\": \"dog\\n\\ncat\"}");
  const Outcome outcome = run({"prepare", "--input", file, json, "--sentences", "--train-tokenizer",
                               "wordpiece", "--min-frequency", "1", "--output", path("out/x")});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.error;
  EXPECT_THAT(outcome.out, HasSubstr("documents  4 (1 empty left out)\nsentences  5\n"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("no end-of-document")));
  const IndexedDataset dataset(path("out/x"));
  const auto tokenizer = load_tokenizer(path("out/x-tokenizer"));
  std::vector<std::string> documents;
  for (int64_t d = 0; d < dataset.num_documents(); ++d) {
    documents.emplace_back();
    for (int64_t s = dataset.first_sequence(d); s < dataset.first_sequence(d + 1); ++s) {
      Ids ids(static_cast<size_t>(dataset.sequence_begin(s + 1) - dataset.sequence_begin(s)));
      dataset.copy_tokens(dataset.sequence_begin(s), ids, tokenizer->vocab_size());
      documents.back() += "<" + tokenizer->decode(ids, SpecialTokens::kParse) + ">";
    }
  }
  EXPECT_THAT(documents, ElementsAre("<one dog .><two dogs !>", "<a cat .>", "<dog>", "<cat>"));
}

TEST_F(PrepareTest, KeepsNoEndTokenInSentences) {
  const std::string file = write("in.txt", "ab ab\ncd\n\nab\n");
  ASSERT_EQ(
      run({"prepare", "--input", file, "--sentences", "--vocab-size", "258", "--output", path("out/x")}).code,
      ExitCode::kOk);
  EXPECT_EQ(decoded(path("out/x")), "ab abcdab");
}

TEST_F(PrepareTest, MakesTwoAlignedDataSetsOfPairs) {
  const std::string german = write("a.de", "Ein Hund .\n\nEine Katze\n"),
                    english = write("a.en", "A dog.\nWell\nA cat\n");
  const std::string json =
      write("a.jsonl",
            "{\"source\": \"Ein Hund .\", \"target\": \"A dog.\"}\n\n{\"source\": \"\", \"target\": "
            "\"Well\"}\n{\"target\": \"A cat\", \"source\": \"Eine Katze\"}\n");
  const Outcome outcome = run({"prepare", "--source", german, "--target", english, "--train-tokenizer",
                               "words", "--min-frequency", "1", "--output", path("out/x")});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.error;
  EXPECT_THAT(outcome.out, HasSubstr("pairs      3\n"));
  EXPECT_THAT(written(),
              ElementsAre("x-tokenizer", "x.source.bin", "x.source.idx", "x.target.bin", "x.target.idx"));
  const auto tokenizer = load_tokenizer(path("out/x-tokenizer"));
  const IndexedDataset source(source_prefix(path("out/x"))), target(target_prefix(path("out/x")));
  EXPECT_EQ(source.num_documents(), 3);
  EXPECT_EQ(target.num_documents(), 3);
  EXPECT_EQ(source.document_begin(1), source.document_begin(2));  // the empty line keeps its place
  EXPECT_EQ(tokenizer->decode(tokens(source.prefix()), SpecialTokens::kParse), "ein hund. eine katze");
  EXPECT_EQ(tokenizer->decode(tokens(target.prefix()), SpecialTokens::kParse), "a dog. well a cat");

  ASSERT_EQ(
      run({"prepare", "--pairs", json, "--tokenizer", path("out/x-tokenizer"), "--output", path("out/y")})
          .code,
      ExitCode::kOk);
  for (const char* suffix : {".source.bin", ".source.idx", ".target.bin", ".target.idx"})
    EXPECT_EQ(testing::read_file(path(std::string("out/y") + suffix)),
              testing::read_file(path(std::string("out/x") + suffix)));
}

TEST_F(PrepareTest, TrainsOrTakesATokenizerForEachSide) {
  const std::string german = write("a.de", "Hund Katze\n"), english = write("a.en", "dog\n");
  ASSERT_EQ(run({"prepare", "--source", german, "--target", english, "--train-tokenizer", "words",
                 "--min-frequency", "1", "--separate-tokenizers", "--output", path("out/x")})
                .code,
            ExitCode::kOk);
  EXPECT_EQ(load_tokenizer(path("out/x-tokenizer"))->vocab_size(), 6);
  EXPECT_EQ(load_tokenizer(path("out/x-target-tokenizer"))->vocab_size(), 5);
  EXPECT_THAT(tokens(path("out/x.source")), ElementsAre(4, 5));
  EXPECT_THAT(tokens(path("out/x.target")), ElementsAre(4));
  const Outcome other =
      run({"prepare", "--source", english, "--target", german, "--tokenizer", path("out/x-target-tokenizer"),
           "--target-tokenizer", path("out/x-tokenizer"), "--output", path("out/y")});
  ASSERT_EQ(other.code, ExitCode::kOk) << other.error;
  EXPECT_THAT(other.out, HasSubstr("y-target-tokenizer: words, 6 tokens"));
  EXPECT_THAT(tokens(path("out/y.target")), ElementsAre(4, 5));
}

TEST_F(PrepareTest, KeepsTheLabelsOfSentences) {
  const std::string file = write("train.tsv", "good film\t10\n\nbad\t9\n\t10\n");
  const Outcome outcome =
      run({"prepare", "--labelled", file, "--columns", "sentence,label", "--train-tokenizer", "words",
           "--min-frequency", "1", "--output", path("out/x")});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.error;
  EXPECT_THAT(outcome.out, HasSubstr("examples   3 of the classes 9, 10\n"));
  EXPECT_THAT(written(), ElementsAre("x-tokenizer", "x.bin", "x.idx", "x.labels"));
  const Labels labels = read_labels(labels_path(path("out/x")));
  EXPECT_THAT(labels.classes, ElementsAre("9", "10"));  // in the order of the numbers
  EXPECT_THAT(labels.labels, ElementsAre(1, 0, 1));
  EXPECT_EQ(decoded(path("out/x")), "good film bad");
  EXPECT_EQ(IndexedDataset(path("out/x")).num_documents(), 3);

  const auto prepare_test_set = [&](const std::string& rows) {
    return run({"prepare", "--labelled", write("test.tsv", rows), "--classes", path("out/x.labels"),
                "--tokenizer", path("out/x-tokenizer"), "--output", path("out/y")});
  };
  EXPECT_THAT(prepare_test_set("10\tgood\n11\tbad\n").error,
              HasSubstr("test.tsv:2: the label '11' is not among the classes 9, 10"));
  ASSERT_EQ(prepare_test_set("10\tgood\n").code, ExitCode::kOk);
  EXPECT_THAT(read_labels(labels_path(path("out/y"))).labels, ElementsAre(1));
}

TEST_F(PrepareTest, KeepsPairsOfLabelledSentences) {
  const std::string file = write("in.tsv", "id\tlabel\tb\ta\n7\tyes\tsecond one\tfirst\n8\tno\tx\ty\n");
  ASSERT_EQ(run({"prepare", "--labelled", file, "--columns", "-,label,pair,sentence", "--header",
                 "--train-tokenizer", "words", "--min-frequency", "1", "--output", path("out/x")})
                .code,
            ExitCode::kOk);
  const IndexedDataset dataset(path("out/x"));
  EXPECT_EQ(dataset.num_documents(), 2);
  EXPECT_EQ(dataset.num_sequences(), 4);
  EXPECT_EQ(dataset.sequence_begin(1), 1);
  EXPECT_EQ(decoded(path("out/x")), "first second one y x");
  EXPECT_THAT(read_labels(labels_path(path("out/x"))).classes, ElementsAre("no", "yes"));
}

TEST_F(PrepareTest, LeavesNothingOfAnotherKindBehind) {
  const std::string pairs = write("a.jsonl", "{\"source\": \"a\", \"target\": \"b\"}\n"),
                    text = write("in.txt", "some text");
  ASSERT_EQ(run({"prepare", "--pairs", pairs, "--vocab-size", "257", "--separate-tokenizers", "--output",
                 path("out/x")})
                .code,
            ExitCode::kOk);
  EXPECT_EQ(run({"prepare", "--input", text, "--vocab-size", "257", "--output", path("out/x")}).code,
            ExitCode::kCannotCreate);
  ASSERT_EQ(
      run({"prepare", "--input", text, "--vocab-size", "257", "--output", path("out/x"), "--overwrite"}).code,
      ExitCode::kOk);
  EXPECT_THAT(written(), ElementsAre("x-tokenizer", "x.bin", "x.idx"));
}

TEST_F(PrepareTest, FollowsEveryOptionOfATrainedTokenizer) {
  const std::string file = write("in.txt", "\xC3\x84pfel \xC3\xA4pfel Apfel apfel abcdefgh abcdefgh x");
  const auto tokenizer_of = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"prepare", "--input", file, "--overwrite", "--output", path("out/x"),
                                         "--train-tokenizer"});
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.error;
    return load_tokenizer(path("out/x-tokenizer"));
  };
  const std::vector<std::vector<std::string>> all = {
      {"wordpiece"},
      {"wordpiece", "--keep-case"},
      {"wordpiece", "--keep-accents"},
      {"wordpiece", "--max-word-length", "7"},
      {"wordpiece", "--vocab-size", "26"},
      {"wordpiece", "--min-frequency", "3"},
      {"words"},
      {"words", "--keep-case"},
      {"words", "--min-frequency", "1"},
      {"words", "--vocab-size", "5"},
      {"sentencepiece", "--vocab-size", "28", "--sentencepiece-model", "bpe"},
      {"sentencepiece", "--vocab-size", "25"},
      {"sentencepiece", "--vocab-size", "25", "--sentencepiece-model", "bpe"}};
  std::vector<std::string> hashes;
  for (const auto& arguments : all) hashes.push_back(tokenizer_of(arguments)->content_hash());
  for (size_t i = 0; i < hashes.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(hashes[i], hashes[j]) << ::testing::PrintToString(all[i]);
}

TEST_F(PrepareTest, WritesSentencePieceTokensThatDecodeToTheText) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "word" + std::to_string(i * i % 101) + " row rows rowing\n";
  for (const char* threads : {"1", "3"})
    ASSERT_EQ(run({"prepare", "--input", write("in.txt", text), "--train-tokenizer", "sentencepiece",
                   "--vocab-size", "200", "--threads", threads, "--output", path("out/") + threads})
                  .code,
              ExitCode::kOk);
  EXPECT_EQ(testing::read_file(path("out/1.bin")), testing::read_file(path("out/3.bin")));
  std::replace(text.begin(), text.end(), '\n', ' ');
  text.back() = '<';
  EXPECT_EQ(decoded(path("out/1")), text + "/s>");
  EXPECT_THAT(run({"tokenize", "--tokenizer", path("out/1-tokenizer"), "--decode"},
                  run({"tokenize", "--tokenizer", path("out/1-tokenizer")}, "rowing rows\n").out)
                  .out,
              HasSubstr("rowing rows\n"));
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
