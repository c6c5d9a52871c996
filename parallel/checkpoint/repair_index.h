#pragma once

#include <string>

namespace trireme {

enum class IndexRepair {
  kSound,                ///< it was what it should be: nothing was written
  kRebuilt,              ///< the index alone was replaced
  kRebuiltWithManifest,  ///< it is another file than before (of another HDF5), and the manifest says so
};

/// Makes index.h5 of a step again, from its manifest. Everything else of the step is verified first. Whoever
/// looks, or dies, at any moment finds the step as it was or repaired: the index is replaced by one rename;
/// where the manifest must change with it, a copy of the directory (shards are linked) changes places with it
/// in one call. Holds the lock of the directory of steps. Errors: CheckpointError (exit 65) where manifest or
/// a shard is damaged, naming all damage; exit 73 where a job holds the directory; IoError: the step is as it
/// was, also where a file system cannot exchange directories.
IndexRepair repair_index(const std::string& step_directory);

}  // namespace trireme
