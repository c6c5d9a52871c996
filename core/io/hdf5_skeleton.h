#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace trireme::io {

struct Hdf5Attribute {
  std::string name;
  std::variant<std::string, std::vector<int64_t>> value;
};

/// A box of a virtual dataset that lies in another file of the same folder, as a whole dataset.
struct Hdf5Source {
  std::string file;  ///< a plain name
  std::string dataset;
  Shape offset;  ///< in the virtual dataset
  Shape extent;
};

/// A dataset of at least one dimension. Missing groups of its path are made.
struct Hdf5Dataset {
  std::string path;  ///< "/model/h.0.weight/0,0+4,8"; a name between slashes is one link, dots kept
  Shape shape;
  DType dtype = DType::kFloat32;
  std::vector<Hdf5Attribute> attributes;
  std::vector<Hdf5Source> sources;  ///< empty: contiguous data in this file; holes of a virtual one read NaN
};

/// An HDF5 file without its data: what the library would write around the numbers, and where they belong.
struct Hdf5Skeleton {
  struct Extent {
    int64_t offset;
    std::vector<std::byte> bytes;
  };
  int64_t size = 0;                   ///< of the whole file
  std::vector<Extent> metadata;       ///< by offset; may touch data ranges, where it is to be ignored
  std::vector<int64_t> data_offsets;  ///< of each contiguous dataset, in the order given; multiples of 4096
};

/// Lays out a file of format V110 (every metadata block has a checksum). libhdf5 works on a sparse file in
/// memory (/dev/shm, else the temporary directory), so it never meets the disk that the checkpoint goes to:
/// a full one makes it crash. bfloat16 is a 16-bit float type of 1-8-7 bits, which h5py reads as float32.
/// Thread-safe. Errors: IoError with HDF5's own words.
Hdf5Skeleton make_hdf5_skeleton(const std::vector<Hdf5Dataset>& datasets,
                                const std::vector<Hdf5Attribute>& root_attributes);

/// "1.10.8".
std::string hdf5_version();

}  // namespace trireme::io
