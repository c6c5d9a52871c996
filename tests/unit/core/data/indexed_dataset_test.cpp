#include "core/data/indexed_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/data/indexed_dataset_writer.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

const std::filesystem::path kFixtures = testing::test_folder() + "/oracle/indexed_dataset";

Ids all_tokens(const IndexedDataset& dataset) {
  Ids ids(static_cast<size_t>(dataset.num_tokens()));
  dataset.copy_tokens(0, ids, 1 << 30);
  return ids;
}

/// Documents of sequences, as the generator of the fixtures wrote them, compared with what is read.
void expect_same(const nlohmann::json& documents, const IndexedDataset& dataset) {
  Ids expected;
  ASSERT_EQ(dataset.num_documents(), static_cast<int64_t>(documents.size()));
  for (size_t d = 0; d < documents.size(); ++d) {
    EXPECT_EQ(dataset.document_begin(static_cast<int64_t>(d)), static_cast<int64_t>(expected.size()));
    for (const auto& sequence : documents[d]) {
      for (const int32_t id : sequence) {
        EXPECT_EQ(dataset.document_of(static_cast<int64_t>(expected.size())), static_cast<int64_t>(d));
        expected.push_back(id);
      }
    }
  }
  EXPECT_EQ(dataset.document_begin(dataset.num_documents()), dataset.num_tokens());
  EXPECT_EQ(all_tokens(dataset), expected);
}

TEST(IndexedDataset, ReadsWhatMegatronWritesInEveryTokenType) {
  const auto contents = nlohmann::json::parse(testing::read_file(kFixtures / "contents.json"));
  for (const char* type : {"uint8", "int8", "int16", "int32", "int64", "uint16"}) {
    SCOPED_TRACE(type);
    const IndexedDataset dataset((kFixtures / ("sentences_" + std::string(type))).string());
    EXPECT_EQ(dataset.num_sequences(), 7);
    expect_same(contents["sentences"], dataset);
  }
}

TEST(IndexedDatasetWriter, WritesTheBytesThatMegatronWrites) {
  const auto contents = nlohmann::json::parse(testing::read_file(kFixtures / "contents.json"));
  const testing::TemporaryFolder folder;
  const std::string prefix = (folder.path() / "out").string();
  IndexedDatasetWriter writer(prefix, 200);
  for (const auto& document : contents["single"]) writer.add_document(document[0].get<Ids>());
  EXPECT_FALSE(std::filesystem::exists(prefix + ".idx"));
  writer.commit();
  EXPECT_EQ(testing::read_file(prefix + ".idx"), testing::read_file(kFixtures / "single_uint16.idx"));
  EXPECT_EQ(testing::read_file(prefix + ".bin"), testing::read_file(kFixtures / "single_uint16.bin"));
}

TEST(IndexedDatasetWriter, WritesDocumentsOfSeveralSequencesAsMegatronDoes) {
  const auto contents = nlohmann::json::parse(testing::read_file(kFixtures / "contents.json"));
  const testing::TemporaryFolder folder;
  const std::string prefix = (folder.path() / "out").string();
  IndexedDatasetWriter writer(prefix, 200);
  for (const auto& document : contents["sentences"]) {
    for (const auto& sequence : document) writer.add_sequence(sequence.get<Ids>());
    writer.end_document();
  }
  EXPECT_EQ(writer.num_sequences(), 7);
  EXPECT_EQ(writer.num_documents(), static_cast<int64_t>(contents["sentences"].size()));
  writer.commit();
  EXPECT_EQ(testing::read_file(prefix + ".idx"), testing::read_file(kFixtures / "sentences_uint16.idx"));
  EXPECT_EQ(testing::read_file(prefix + ".bin"), testing::read_file(kFixtures / "sentences_uint16.bin"));

  const IndexedDataset dataset(prefix);
  int64_t sequence = 0;
  for (int64_t d = 0; d < dataset.num_documents(); ++d) {
    EXPECT_EQ(dataset.first_sequence(d), sequence);
    for (const auto& expected : contents["sentences"][static_cast<size_t>(d)]) {
      const int64_t begin = dataset.sequence_begin(sequence);
      Ids ids(static_cast<size_t>(dataset.sequence_begin(sequence + 1) - begin));
      dataset.copy_tokens(begin, ids, 200);
      EXPECT_EQ(ids, expected.get<Ids>());
      ++sequence;
    }
  }
  EXPECT_EQ(dataset.first_sequence(dataset.num_documents()), sequence);
}

TEST(IndexedDatasetWriter, WritesLargeIdsAndEmptyDocuments) {
  const testing::TemporaryFolder folder;
  const std::string prefix = (folder.path() / "out").string();
  IndexedDatasetWriter writer(prefix, 70000);
  writer.add_document(Ids{1, 69999});
  writer.add_document(Ids{});
  writer.add_document(Ids{2});
  writer.commit();
  const IndexedDataset dataset(prefix);
  EXPECT_EQ(dataset.dtype(), TokenDType::kInt32);
  EXPECT_EQ(all_tokens(dataset), (Ids{1, 69999, 2}));
  EXPECT_EQ(dataset.num_documents(), 3);
  EXPECT_EQ(dataset.document_of(2), 2);
}

TEST(IndexedDatasetWriter, LeavesNothingWithoutCommit) {
  const testing::TemporaryFolder folder;
  { IndexedDatasetWriter((folder.path() / "out").string(), 10).add_document(Ids{1, 2}); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(IndexedDatasetWriter, SaysThatItCannotCreateItsFiles) {
  const testing::TemporaryFolder folder;
  try {
    IndexedDatasetWriter writer((folder.path() / "missing/out").string(), 10);
    FAIL();
  } catch (const IoError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kCannotCreate);
    EXPECT_THAT(error.what(), HasSubstr("missing/out.bin"));
  }
}

struct Damage {
  const char* expected;
  std::function<void(std::string& idx, std::string& bin)> apply;
};

template <class T>
void put(std::string& bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

TEST(IndexedDataset, RefusesDamagedFilesNamingThem) {
  // single_uint16: 4 sequences of 3 to 6 tokens; sizes from byte 34, pointers from 50, bounds from 82.
  const std::vector<Damage> table = {
      {"accepted", [](auto&, auto&) {}},
      {"x.idx: 0 bytes are too few", [](auto& idx, auto&) { idx.clear(); }},
      {"x.idx: 33 bytes are too few", [](auto& idx, auto&) { idx.resize(33); }},
      {"x.idx: does not begin with MMIDIDX", [](auto& idx, auto&) { idx[0] = 'X'; }},
      {"x.idx: version 2 is not known, expected 1", [](auto& idx, auto&) { idx[9] = 2; }},
      {"x.idx: dtype code 0 is no type for tokens", [](auto& idx, auto&) { idx[17] = 0; }},
      {"x.idx: dtype code 7 is no type for tokens", [](auto& idx, auto&) { idx[17] = 7; }},
      {"truncated", [](auto& idx, auto&) { idx.resize(idx.size() - 1); }},
      {"truncated", [](auto& idx, auto&) { idx.push_back('\0'); }},
      {"truncated", [](auto& idx, auto&) { put<uint64_t>(idx, 18, ~uint64_t{0}); }},
      {"truncated", [](auto& idx, auto&) { put<uint64_t>(idx, 26, uint64_t{1} << 61); }},
      {"truncated", [](auto& idx, auto&) { put<uint64_t>(idx, 18, 3); }},
      {"x.idx: sequence 1 has the size -4", [](auto& idx, auto&) { put<int32_t>(idx, 38, -4); }},
      {"x.idx: sequence 1 ends at byte", [](auto& idx, auto&) { put<int32_t>(idx, 38, 1 << 30); }},
      {"x.idx: sequence 2 begins at byte 1000 of the .bin file, expected 14",
       [](auto& idx, auto&) { put<int64_t>(idx, 66, 1000); }},
      {"x.idx: sequence 0 begins at byte -2", [](auto& idx, auto&) { put<int64_t>(idx, 50, -2); }},
      {"ends at byte 36, but", [](auto&, auto& bin) { bin.pop_back(); }},
      {"x.bin: has 38 bytes, but the index describes 36", [](auto&, auto& bin) { bin += "ab"; }},
      {"ends at byte 6, but", [](auto&, auto& bin) { bin.clear(); }},
      {"do not begin with 0", [](auto& idx, auto&) { put<int64_t>(idx, 82, 1); }},
      {"document bound 2 is 0, less than 1", [](auto& idx, auto&) { put<int64_t>(idx, 98, 0); }},
      {"the last document bound is 9", [](auto& idx, auto&) { put<int64_t>(idx, 114, 9); }},
  };
  const std::string good_idx = testing::read_file(kFixtures / "single_uint16.idx");
  const std::string good_bin = testing::read_file(kFixtures / "single_uint16.bin");
  for (size_t i = 0; i < table.size(); ++i) {
    SCOPED_TRACE(i);
    const testing::TemporaryFolder folder;
    std::string idx = good_idx, bin = good_bin, message = "accepted";
    table[i].apply(idx, bin);
    folder.write("x.idx", idx);
    folder.write("x.bin", bin);
    try {
      const IndexedDataset dataset((folder.path() / "x").string());
    } catch (const DataError& error) {
      message = error.what();
    }
    EXPECT_THAT(message, HasSubstr(table[i].expected));
  }
}

TEST(IndexedDataset, RefusesMissingFiles) {
  const testing::TemporaryFolder folder;
  EXPECT_THROW(IndexedDataset((folder.path() / "x").string()), DataError);
  folder.write("x.idx", testing::read_file(kFixtures / "single_uint16.idx"));
  try {
    const IndexedDataset dataset((folder.path() / "x").string());
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("x.bin: cannot be opened: No such file"));
  }
}

TEST(IndexedDataset, NamesATokenOutsideTheVocabulary) {
  const IndexedDataset dataset((kFixtures / "single_uint16").string());
  Ids ids(3);
  EXPECT_NO_THROW(dataset.copy_tokens(0, ids, 103));
  try {
    dataset.copy_tokens(2, ids, 103);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("single_uint16.bin: token 3 is 110, outside the vocabulary of 103"));
  }
}

TEST(IndexedDataset, HasAFingerprintThatFollowsItsContentOnly) {
  const testing::TemporaryFolder folder;
  const std::string idx = testing::read_file(kFixtures / "single_uint16.idx");
  std::string bin = testing::read_file(kFixtures / "single_uint16.bin");
  folder.write("copy.idx", idx);
  folder.write("copy.bin", bin);
  const std::string original = IndexedDataset((kFixtures / "single_uint16").string()).fingerprint();
  EXPECT_EQ(IndexedDataset((folder.path() / "copy").string()).fingerprint(), original);
  bin[5] ^= 1;
  folder.write("copy.bin", bin);
  EXPECT_NE(IndexedDataset((folder.path() / "copy").string()).fingerprint(), original);
}

}  // namespace
}  // namespace trireme
