#pragma once

#include <string>
#include <vector>

#include "core/tensor/context.h"
#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/manifest.h"

namespace trireme::checkpoint {

inline constexpr int64_t kUsualReadBuffer = int64_t{1} << 30;

/// Fills every target from the boxes that hold a part of it, whatever the layout at save. Reads at the
/// manifest's offsets in the order of the files, without libhdf5; every block is checked, before it is copied
/// or, where it lies in its target as in the file, after it has been read into it: after an error the targets
/// hold anything. Each of at most 2 threads reads up to 8 MiB at once, and holds no more: together at most
/// `buffer_bytes`, or a block where that is larger. Targets must be tensors of the manifest (see
/// compare_tensors), apart from each other in memory. Returns the bytes read: whole blocks, and gaps of at
/// most 256 KiB between them. Errors: CheckpointError naming file, tensor, expected and actual digest;
/// IoError.
int64_t read_tensors(const std::string& step_directory, const Manifest& manifest,
                     const std::vector<HeldTensor>& targets, int64_t buffer_bytes = kUsualReadBuffer);

/// A whole tensor of the manifest, in memory of the context.
Tensor read_tensor(Context& context, const std::string& step_directory, const Manifest& manifest,
                   const SavedTensor& tensor);

/// Reads every block of one file and returns a line for each damaged one; empty where all is sound.
std::vector<std::string> check_blocks(const std::string& step_directory, const Manifest& manifest,
                                      const std::string& file);

}  // namespace trireme::checkpoint
