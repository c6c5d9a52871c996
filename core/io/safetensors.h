#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/file.h"
#include "core/tensor/context.h"

namespace trireme {

/// Where a tensor lies in a file of the safetensors format.
struct SafetensorsEntry {
  DType dtype = DType::kFloat32;
  Shape shape;
  int64_t begin = 0, end = 0;  ///< bytes in the file
};

/// A file in the safetensors format (github.com/huggingface/safetensors): 8 bytes of header length, a JSON
/// header, raw little-endian tensors.
struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry> entries;  ///< cover the file behind the header exactly once
  std::map<std::string, std::string> metadata;
};

/// Reads an untrusted header strictly: at most 100 MB, no name twice, known types, at most 8 dimensions,
/// every size checked against `file_bytes`, no overlap, no hole. `bytes`: the first bytes of the file, with
/// its header in them; nothing else is looked at. DataError naming `where`.
SafetensorsHeader parse_safetensors_header(std::string_view bytes, int64_t file_bytes,
                                           const std::string& where);

class SafetensorsFile {
 public:
  using Entry = SafetensorsEntry;

  /// Reads and checks the header. IoError where the file cannot be read, DataError where it is damaged.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::map<std::string, Entry>& entries() const { return header_.entries; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  /// DataError where there is no such tensor.
  Tensor read(Context& context, const std::string& name, MemoryCategory category) const;

 private:
  io::File file_;
  SafetensorsHeader header_;
};

/// The tensors of a model as Transformers saves it: FOLDER/model.safetensors, or the files beside it that
/// FOLDER/model.safetensors.index.json lists. The index is untrusted: plain file names only, every tensor in
/// the file it is said to be in, none beside those listed. IoError, DataError.
class SafetensorsFolder {
 public:
  explicit SafetensorsFolder(const std::filesystem::path& folder);

  const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }
  Tensor read(Context& context, const std::string& name, MemoryCategory category) const;

 private:
  std::map<std::string, SafetensorsFile> files_;     // by name
  std::map<std::string, SafetensorsEntry> entries_;  // of all files
  std::map<std::string, std::string> file_of_;       // tensor -> file
};

/// A tensor that is to be written.
struct SafetensorsTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  Shape shape;
};

/// Writes what SafetensorsFolder reads, one tensor after another: one file where all fit into
/// `max_file_bytes`, else several and an index. A tensor that is larger has a file of its own. The folder
/// must exist, the files must not. IoError.
class SafetensorsWriter {
 public:
  static constexpr int64_t kUsualFileBytes = 5'000'000'000;

  SafetensorsWriter(std::string folder, std::vector<SafetensorsTensor> tensors, int64_t max_file_bytes);
  /// The next tensor in the order given; contiguous.
  void write(const Tensor& tensor);
  /// After the last tensor; brings everything to the disk.
  void finish();

 private:
  std::string file_name(size_t file) const;
  void open_file();
  void close_file();

  std::string folder_;
  std::vector<SafetensorsTensor> tensors_;
  std::vector<size_t> first_of_file_;  // index of each file's first tensor; then their number
  size_t next_ = 0;                    // tensor
  size_t num_opened_ = 0;              // files
  std::optional<io::File> file_;
  int64_t position_ = 0;
};

}  // namespace trireme
