#include "core/data/indexed_dataset.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "tests/fuzz/targets/require.h"
#include "tests/fuzz/targets/targets.h"

namespace trireme::fuzz {
namespace {

/// A folder in memory where there is one, removed at the end of the program.
class Folder {
 public:
  Folder() {
    std::string name = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
    name += "/trireme-fuzz-XXXXXX";
    FUZZ_REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void write(const std::string& path, std::string_view bytes) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  FUZZ_REQUIRE(descriptor >= 0);
  FUZZ_REQUIRE(::write(descriptor, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  ::close(descriptor);
}

/// What the samples are cut from.
void read_everything(const IndexedDataset& dataset) {
  const int64_t num_tokens = dataset.num_tokens();
  int64_t before = 0;
  for (int64_t document = 0; document <= dataset.num_documents(); ++document) {
    const int64_t begin = dataset.document_begin(document);
    FUZZ_REQUIRE(begin >= before && begin <= num_tokens);
    before = begin;
  }
  FUZZ_REQUIRE(before == num_tokens);
  for (int64_t token = 0; token < num_tokens; ++token) {
    const int64_t document = dataset.document_of(token);
    FUZZ_REQUIRE(dataset.document_begin(document) <= token && token < dataset.document_begin(document + 1));
  }
  FUZZ_REQUIRE(dataset.fingerprint().size() == 32);
  std::vector<int32_t> tokens(static_cast<size_t>(num_tokens));
  dataset.copy_tokens(0, tokens, 200);
  for (const int32_t token : tokens) FUZZ_REQUIRE(token >= 0 && token < 200);
}

}  // namespace

void indexed_dataset(std::string_view bytes) {
  static const Folder folder;
  const std::string prefix = folder.path() + "/data";
  std::string tokens(bytes.empty() ? 0 : static_cast<unsigned char>(bytes[0]), '\0');
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<char>(i % 8 == 0 ? i : 0);
  write(bin_path(prefix), tokens);
  write(idx_path(prefix), bytes.empty() ? bytes : bytes.substr(1));
  try {
    read_everything(IndexedDataset(prefix));
  } catch (const DataError&) {
  }
}

}  // namespace trireme::fuzz
