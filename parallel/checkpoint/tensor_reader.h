#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/manifest.h"

namespace trireme::checkpoint {

/// Fills every target from the boxes that hold a part of it, whatever the layout at save. Reads at the
/// manifest's offsets in the order of the files, without libhdf5; every block is checked before a byte of it
/// is copied; at most 64 MiB are held. Targets must be tensors of the manifest (see compare_tensors).
/// Returns the bytes read: whole blocks, and gaps of at most 256 KiB between them. Errors: CheckpointError
/// naming file, tensor, expected and actual digest; IoError.
int64_t read_tensors(const std::string& step_directory, const Manifest& manifest,
                     const std::vector<HeldTensor>& targets);

/// Reads every block of one file and returns a line for each damaged one; empty where all is sound.
std::vector<std::string> check_blocks(const std::string& step_directory, const Manifest& manifest,
                                      const std::string& file);

}  // namespace trireme::checkpoint
