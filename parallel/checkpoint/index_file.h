#pragma once

#include <string>

#include "parallel/checkpoint/manifest.h"

namespace trireme::checkpoint {

/// The bytes of index.h5: every tensor of the manifest whole, as a virtual dataset over the shards
/// beside it, with the small state as attributes of the root. For people and tools; nothing of ours reads it.
/// The same manifest and the same HDF5 give the same bytes; what the manifest says of index.h5 itself is not
/// read.
std::string index_bytes(const Manifest& manifest);

/// Writes `<directory>/index.h5`.
SavedFile write_index(const std::string& directory, const Manifest& manifest);

}  // namespace trireme::checkpoint
