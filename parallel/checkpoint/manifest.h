#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "parallel/checkpoint/tensor_box.h"
#include "parallel/checkpoint/training_state.h"

namespace trireme::checkpoint {

inline constexpr int64_t kFormatVersion = 1;
/// Digests are made of blocks of at most this many bytes of a box, each block read and checked as a whole.
inline constexpr int64_t kBlockBytes = int64_t{16} << 20;
inline constexpr const char* kManifestName = "manifest.json";
inline constexpr const char* kIndexName = "index.h5";

/// The checkpoint is sound but of a later format: never passed over in favour of an older step.
struct NewerFormatError : CheckpointError {
  using CheckpointError::CheckpointError;
};

/// A box as it lies in a shard: contiguous, row-major, little-endian.
struct SavedBox {
  Box box;
  std::string file;         ///< a plain name in the step's directory
  int64_t file_offset = 0;  ///< first byte
  int64_t num_bytes = 0;
  std::vector<std::string> digests;  ///< XXH3-128 of every block of Manifest::block_bytes, the last shorter
};

struct SavedTensor {
  Role role;
  std::string name;
  DType dtype = DType::kFloat32;
  Shape shape;  ///< global
  std::string parameter_group;
  std::string tied_to;  ///< name of the tensor that holds its data; empty: its own (then boxes cover it once)
  std::vector<SavedBox> boxes;
};

struct SavedFile {
  int64_t size = 0;
  std::string digest;  ///< XXH3-128 of the whole file
};

/// manifest.json: the machine's contract of a step. Nothing else is needed to restore.
struct Manifest {
  int64_t format_version = kFormatVersion;
  std::string writer;                            ///< "trireme 0.1.0"
  std::map<std::string, std::string> libraries;  ///< versions by name
  int64_t num_ranks = 0;                         ///< at save
  TrainingState state;
  std::string architecture_hash;  ///< XXH3-128 of the canonical architecture
  int64_t block_bytes = kBlockBytes;
  std::vector<SavedTensor> tensors;
  std::map<std::string, SavedFile> files;  ///< all but the manifest, by name
};

/// All but files and tensors: a JSON object with the manifest's own names, in its order.
std::string head_json(const Manifest& manifest);

/// The text ends with the digest of everything before it. Objects of the state are written with sorted keys.
std::string to_json(const Manifest& manifest);

/// Reads untrusted text: digest first, then strictly (no duplicate key, every number in range, file names
/// without folders, boxes that cover each tensor once and lie apart inside their files). `where` names the
/// file in errors: CheckpointError.
Manifest parse_manifest(const std::string& text, const std::string& where);

/// Reads and parses `<step_directory>/manifest.json` and checks that the directory bears its step's name.
/// CheckpointError.
Manifest read_manifest(const std::string& step_directory);

/// The same, and checks that every file has its size.
Manifest load_manifest(const std::string& step_directory);

/// JSON with sorted keys and no spaces; our own bug where `text` is no JSON object.
std::string canonical_json(const std::string& text);

}  // namespace trireme::checkpoint
