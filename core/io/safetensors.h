#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/tensor/context.h"

namespace trireme {

/// A file in the safetensors format (github.com/huggingface/safetensors): 8 bytes of header length, a JSON
/// header, raw little-endian tensors. The file is untrusted: header length, types, shapes and offsets are
/// checked against its size before memory is taken; tensors must cover the data exactly, without overlap or
/// hole.
class SafetensorsFile {
 public:
  struct Entry {
    DType dtype;
    Shape shape;
    int64_t begin, end;  ///< bytes in the file
  };

  /// Reads and checks the header. Throws IoError when the file cannot be read, DataError when it is damaged.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::map<std::string, Entry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Throws DataError when there is no such tensor.
  Tensor read(Context& context, const std::string& name, MemoryCategory category) const;

 private:
  std::filesystem::path path_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace trireme
