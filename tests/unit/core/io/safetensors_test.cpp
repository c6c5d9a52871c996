#include "core/io/safetensors.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstring>
#include <fstream>
#include <tuple>

#include "core/base/error.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

class Safetensors : public ::testing::Test {
 protected:
  Safetensors()
      : path_(fs::temp_directory_path() / ("safetensors-" + std::to_string(::getpid()) + ".safetensors")) {}
  ~Safetensors() override { fs::remove(path_); }

  void write(const std::string& header, int64_t data_bytes, int64_t stated_length = -1) {
    std::ofstream file(path_, std::ios::binary);
    const uint64_t length = stated_length < 0 ? header.size() : static_cast<uint64_t>(stated_length);
    file.write(reinterpret_cast<const char*>(&length), 8);
    file << header;
    for (int64_t i = 0; i < data_bytes; ++i) file.put(static_cast<char>(i));
  }
  void expect_refused(const std::string& header, int64_t data_bytes, const std::string& reason) {
    write(header, data_bytes);
    try {
      const SafetensorsFile file(path_);
      ADD_FAILURE() << "accepted: " << header;
    } catch (const DataError& error) {
      EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
    }
  }
  fs::path path_;
  Context context_;
};

TEST_F(Safetensors, AreReadWithMetadataAndEmptyTensors) {
  write(
      R"({"__metadata__":{"made":"here"},"b":{"dtype":"U8","shape":[2,2],"data_offsets":[8,12]},)"
      R"("a":{"dtype":"I32","shape":[2],"data_offsets":[0,8]},"e":{"dtype":"F32","shape":[0,3],"data_offsets":[12,12]},)"
      R"("s":{"dtype":"U8","shape":[],"data_offsets":[12,13]}}  )",
      13);
  const SafetensorsFile file(path_);
  EXPECT_EQ(file.metadata().at("made"), "here");
  EXPECT_EQ(file.entries().size(), 4u);
  const Tensor b = file.read(context_, "b", MemoryCategory::kWorkspace);
  EXPECT_EQ(b.shape(), (Shape{2, 2}));
  EXPECT_EQ(b.data<uint8_t>()[3], 11);
  EXPECT_EQ(file.read(context_, "a", MemoryCategory::kWorkspace).data<int32_t>()[0], 0x03020100);
  EXPECT_EQ(file.read(context_, "e", MemoryCategory::kWorkspace).num_elements(), 0);
  EXPECT_EQ(file.read(context_, "s", MemoryCategory::kWorkspace).data<uint8_t>()[0], 12);
  EXPECT_THROW(file.read(context_, "missing", MemoryCategory::kWorkspace), DataError);
}

TEST_F(Safetensors, ThatAreDamagedAreRefusedWithAReason) {
  const auto tensor = [](const std::string& rest) { return R"({"a":{"dtype":"F32",)" + rest + "}}"; };
  expect_refused("[]", 0, "not a JSON object");
  expect_refused("{", 0, "not valid JSON");
  expect_refused(R"({"a":3})", 0, "expected dtype");
  expect_refused(R"({"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", 4, "type 'F99'");
  expect_refused(tensor(R"("shape":[1],"data_offsets":[0])"), 4, "expected dtype");
  expect_refused(tensor(R"("shape":[-1],"data_offsets":[0,4])"), 4, "outside the file");
  expect_refused(tensor(R"("shape":[1.5],"data_offsets":[0,4])"), 4, "outside the file");
  expect_refused(tensor(R"("shape":["1"],"data_offsets":[0,4])"), 4, "outside the file");
  expect_refused(tensor(R"("shape":[18446744073709551615],"data_offsets":[0,4])"), 4, "outside the file");
  expect_refused(tensor(R"("shape":[50,50,50,50,50,50,50,50],"data_offsets":[0,4])"), 4,
                 "larger than the file");
  expect_refused(tensor(R"("shape":[2],"data_offsets":[0,4])"), 4, "8 bytes lies at");
  expect_refused(tensor(R"("shape":[2],"data_offsets":[0,8])"), 4, "lies at");
  expect_refused(tensor(R"("shape":[1],"data_offsets":[4,0])"), 4, "lies at");
  expect_refused(tensor(R"("shape":[1],"data_offsets":[0,4])"), 6, "2 bytes belong to no tensor");
  expect_refused(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                 R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                 3, "tensors overlap at byte");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                 R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                 3, "tensors leave a hole at byte");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                 R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                 1, "has the key \"a\" twice");
  expect_refused(tensor(R"("shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), 4, "at most 8 sizes");
  expect_refused(tensor(R"("shape":[1],"data_offsets":[0,4],"file":"/etc/passwd")"), 4, "expected dtype");
  expect_refused(tensor(R"("shape":[1125899906842624],"data_offsets":[0,4503599627370496])"), 4,
                 "outside the file");  // 4 PiB
  expect_refused(" {}", 0, "not a JSON object");
  expect_refused(R"({"a":)" + std::string(100000, '[') + std::string(100000, ']') + "}", 0,
                 "nests deeper than 32");
  expect_refused(R"({"__metadata__":{"a":1}})", 0, "__metadata__");
}

TEST_F(Safetensors, WithAHeaderLongerThanTheFileAreRefused) {
  for (const int64_t length : {int64_t{3}, int64_t{1} << 40, int64_t{0x7FFFFFFFFFFFFFFF}}) {
    write("{}", 0, length);
    EXPECT_THROW(SafetensorsFile{path_}, DataError);
  }
}

TEST_F(Safetensors, ShorterThanTheirLengthFieldAreRefused) {
  std::ofstream(path_, std::ios::binary) << "abc";
  EXPECT_THROW(SafetensorsFile{path_}, DataError);
}

TEST_F(Safetensors, ThatAreMissingAreAnInputError) {
  EXPECT_THROW(SafetensorsFile("/nonexistent/x.safetensors"), IoError);
}

TEST(SafetensorsHeader, IsReadFromBytesAloneAndCutAnywhereIsRefused) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  bytes += header;
  const auto size = static_cast<int64_t>(bytes.size());
  EXPECT_EQ(parse_safetensors_header(bytes, size + 3, "x").entries.at("a").end, size + 3);
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_THROW(parse_safetensors_header(bytes.substr(0, length), size + 3, "x"), DataError) << length;
}

/// Three tensors of several types, written with a limit a file.
class SafetensorsFolders : public ::testing::Test {
 protected:
  void write(int64_t max_file_bytes) {
    fs::create_directories(folder());
    SafetensorsWriter writer(
        folder(), {{"a", DType::kFloat64, {2, 3}}, {"b", DType::kBFloat16, {5}}, {"c", DType::kUInt8, {}}},
        max_file_bytes);
    for (const Tensor& tensor :
         {numbers({2, 3}, DType::kFloat64), numbers({5}, DType::kBFloat16), numbers({}, DType::kUInt8)})
      writer.write(tensor);
    writer.finish();
  }
  Tensor numbers(const Shape& shape, DType dtype) {
    const Tensor tensor = context_.zeros(shape, dtype, MemoryCategory::kWorkspace);
    for (int64_t i = 0; i < tensor.num_bytes(); ++i) tensor.raw()[i] = static_cast<std::byte>(i + 7);
    return tensor;
  }
  void expect_content() {
    const SafetensorsFolder read(folder());
    ASSERT_EQ(read.entries().size(), 3u);
    for (const auto& [name, shape, dtype] :
         {std::tuple{"a", Shape{2, 3}, DType::kFloat64}, std::tuple{"b", Shape{5}, DType::kBFloat16},
          std::tuple{"c", Shape{}, DType::kUInt8}}) {
      const Tensor tensor = read.read(context_, name, MemoryCategory::kWorkspace);
      EXPECT_EQ(tensor.shape(), shape);
      ASSERT_EQ(tensor.dtype(), dtype);
      EXPECT_EQ(
          std::memcmp(tensor.raw(), numbers(shape, dtype).raw(), static_cast<size_t>(tensor.num_bytes())), 0);
    }
  }
  void expect_refused(const std::string& index, const std::string& reason) {
    temporary_.write("model/model.safetensors.index.json", index);
    try {
      const SafetensorsFolder read(folder());
      ADD_FAILURE() << "accepted: " << index;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
    }
  }
  std::string folder() const { return temporary_.path() / "model"; }

  testing::TemporaryFolder temporary_;
  Context context_;
};

TEST_F(SafetensorsFolders, OfOneFileAreReadAsWritten) {
  write(1000);
  EXPECT_TRUE(fs::exists(folder() + "/model.safetensors"));
  EXPECT_FALSE(fs::exists(folder() + "/model.safetensors.index.json"));
  expect_content();
}

TEST_F(SafetensorsFolders, OfSeveralFilesAreReadThroughTheirIndex) {
  write(12);  // a alone is larger; b and c fit together
  EXPECT_TRUE(fs::exists(folder() + "/model-00002-of-00002.safetensors"));
  expect_content();
}

TEST_F(SafetensorsFolders, WithLinksAreReadAsHuggingFaceCachesThem) {
  write(1000);
  fs::rename(folder() + "/model.safetensors", temporary_.path() / "blob");
  fs::create_symlink("../blob", folder() + "/model.safetensors");
  expect_content();
}

TEST_F(SafetensorsFolders, WhoseIndexLiesAreRefused) {
  write(12);
  const std::string first = R"("a":"model-00001-of-00002.safetensors")";
  const std::string second = R"("b":"model-00002-of-00002.safetensors")";
  const std::string third = R"("c":"model-00002-of-00002.safetensors")";
  const auto map = [](const std::string& entries) { return R"({"weight_map":{)" + entries + "}}"; };
  expect_refused("{}", "expected an object 'weight_map'");
  expect_refused(map(first + "," + second), "tensor 'c' is not the index's");
  expect_refused(map(first + "," + second + "," + third + R"(,"d":"model-00001-of-00002.safetensors")"),
                 "tensor 'd' is not in model-00001-of-00002.safetensors");
  for (const char* path : {"../model.safetensors", "/etc/passwd", ".hidden", "", "a/b"})
    expect_refused(map(R"("a":")" + std::string(path) + "\""), "expected the name of a file without folders");
  expect_refused(map(R"("a":3)"), "expected the name of a file without folders");
  expect_refused(map(R"("a":"missing.safetensors")"), "No such file");
  expect_refused(map(first + "," + first), "twice");
}

}  // namespace
}  // namespace trireme
