#include "core/io/safetensors.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <fstream>

#include "core/base/error.h"

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
  expect_refused("{", 0, "not a JSON object");
  expect_refused(R"({"a":3})", 0, "lacks dtype");
  expect_refused(R"({"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", 4, "type 'F99'");
  expect_refused(tensor(R"("shape":[1],"data_offsets":[0])"), 4, "lacks dtype");
  expect_refused(tensor(R"("shape":[-1],"data_offsets":[0,4])"), 4, "outside the file");
  expect_refused(tensor(R"("shape":[1.5],"data_offsets":[0,4])"), 4, "outside the file");
  expect_refused(tensor(R"("shape":["1"],"data_offsets":[0,4])"), 4, "outside the file");
  expect_refused(tensor(R"("shape":[18446744073709551615],"data_offsets":[0,4])"), 4, "outside the file");
  expect_refused(tensor(R"("shape":[100,100,100,100,100,100,100,100,100,100],"data_offsets":[0,4])"), 4,
                 "larger than the file");
  expect_refused(tensor(R"("shape":[2],"data_offsets":[0,4])"), 4, "8 bytes lies at");
  expect_refused(tensor(R"("shape":[2],"data_offsets":[0,8])"), 4, "lies at");
  expect_refused(tensor(R"("shape":[1],"data_offsets":[4,0])"), 4, "lies at");
  expect_refused(tensor(R"("shape":[1],"data_offsets":[0,4])"), 6, "2 bytes belong to no tensor");
  expect_refused(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                 R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                 3, "overlap or leave a hole");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                 R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                 3, "overlap or leave a hole");
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

}  // namespace
}  // namespace trireme
