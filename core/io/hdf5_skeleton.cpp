#include "core/io/hdf5_skeleton.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <mutex>

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/io/directory.h"
#include "core/io/file.h"
#include "core/io/hdf5_handle.h"

namespace trireme::io {
namespace {

constexpr int64_t kAlignment = 4096;
constexpr int64_t kLargestMetadata = int64_t{256} << 20;
constexpr int64_t kRoomForMetadata = int64_t{16} << 20;

Hdf5Handle small_float(size_t sign, size_t exponent_bits, size_t mantissa_bits, size_t bias) {
  Hdf5Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "copy a type");
  check_hdf5(H5Tset_fields(type, sign, mantissa_bits, exponent_bits, 0, mantissa_bits),
             "set a type's fields");
  check_hdf5(H5Tset_precision(type, sign + 1), "set a type's precision");
  check_hdf5(H5Tset_size(type, (sign + 1) / 8), "set a type's size");
  check_hdf5(H5Tset_ebias(type, bias), "set a type's bias");
  return type;
}

Hdf5Handle file_type(DType dtype) {
  const auto copy = [](hid_t type) { return Hdf5Handle(H5Tcopy(type), H5Tclose, "copy a type"); };
  switch (dtype) {
    case DType::kFloat64:
      return copy(H5T_IEEE_F64LE);
    case DType::kFloat32:
      return copy(H5T_IEEE_F32LE);
    case DType::kBFloat16:
      return small_float(15, 8, 7, 127);
    case DType::kFloat16:
      return small_float(15, 5, 10, 15);
    case DType::kInt64:
      return copy(H5T_STD_I64LE);
    case DType::kInt32:
      return copy(H5T_STD_I32LE);
    case DType::kUInt16:
      return copy(H5T_STD_U16LE);
    case DType::kUInt8:
      return copy(H5T_STD_U8LE);
  }
  throw InternalError("unknown dtype");
}

std::vector<hsize_t> to_hsize(const Shape& shape) {
  return {shape.begin(), shape.end()};
}

Hdf5Handle make_space(const Shape& shape) {
  const std::vector<hsize_t> extents = to_hsize(shape);
  return {H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose,
          "make a dataspace"};
}

void add_attribute(hid_t object, const Hdf5Attribute& attribute) {
  if (const auto* numbers = std::get_if<std::vector<int64_t>>(&attribute.value)) {
    const Hdf5Handle space = make_space({static_cast<int64_t>(numbers->size())});
    const Hdf5Handle created(
        H5Acreate2(object, attribute.name.c_str(), H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
        "make an attribute");
    check_hdf5(H5Awrite(created, H5T_NATIVE_INT64, numbers->data()), "write an attribute");
    return;
  }
  // Variable length: the text lies in the heap, so it may pass the 64 KiB limit of object headers.
  const char* text = std::get<std::string>(attribute.value).c_str();
  const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "copy a type");
  check_hdf5(H5Tset_size(type, H5T_VARIABLE), "set a type's size");
  check_hdf5(H5Tset_cset(type, H5T_CSET_UTF8), "set a type's character set");
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose, "make a dataspace");
  const Hdf5Handle created(H5Acreate2(object, attribute.name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                           H5Aclose, "make an attribute");
  check_hdf5(H5Awrite(created, type, &text), "write an attribute");
}

/// So that a person sees a hole where a source is missing.
void fill_with_nan(hid_t properties, DType dtype) {
  if (!is_floating(dtype)) return;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  check_hdf5(H5Pset_fill_value(properties, H5T_NATIVE_DOUBLE, &nan), "set a fill value");
}

/// An object must not hold the time of day: the same state gives the same bytes.
Hdf5Handle timeless(hid_t kind) {
  Hdf5Handle properties(H5Pcreate(kind), H5Pclose, "make properties");
  check_hdf5(H5Pset_obj_track_times(properties, false), "leave out times");
  return properties;
}

Hdf5Handle dataset_properties(const Hdf5Dataset& dataset, hid_t space) {
  Hdf5Handle properties = timeless(H5P_DATASET_CREATE);
  if (dataset.sources.empty()) {
    check_hdf5(H5Pset_layout(properties, H5D_CONTIGUOUS), "set a layout");
    check_hdf5(H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY), "set the time of allocation");
    check_hdf5(H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER), "set the time of filling");
    return properties;
  }
  fill_with_nan(properties, dataset.dtype);
  for (const Hdf5Source& source : dataset.sources) {
    const Hdf5Handle source_space = make_space(source.extent);
    const std::vector<hsize_t> start = to_hsize(source.offset), count = to_hsize(source.extent);
    check_hdf5(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
               "select a box");
    check_hdf5(H5Pset_virtual(properties, space, source.file.c_str(), source.dataset.c_str(), source_space),
               "add a source to a virtual dataset");
  }
  check_hdf5(H5Sselect_all(space), "select a dataspace");
  return properties;
}

/// The groups on the way to a dataset that are not there yet. Those that libhdf5 makes itself hold times.
void add_groups(hid_t file, const std::string& path) {
  const Hdf5Handle properties = timeless(H5P_GROUP_CREATE);
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string group = path.substr(0, slash);
    const htri_t exists = H5Lexists(file, group.c_str(), H5P_DEFAULT);
    if (exists < 0) throw_hdf5("look for a group");
    if (exists == 0)
      Hdf5Handle(H5Gcreate2(file, group.c_str(), H5P_DEFAULT, properties, H5P_DEFAULT), H5Gclose,
                 "make a group");
  }
}

/// Where its data lie, or -1 for a virtual one.
int64_t add_dataset(hid_t file, const Hdf5Dataset& dataset) {
  add_groups(file, dataset.path);
  TRIREME_ASSERT(!dataset.shape.empty(), "dataset " + dataset.path + " has no dimensions");
  const Hdf5Handle space = make_space(dataset.shape);
  const Hdf5Handle type = file_type(dataset.dtype);
  const Hdf5Handle properties = dataset_properties(dataset, space);
  const Hdf5Handle created(
      H5Dcreate2(file, dataset.path.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT), H5Dclose,
      "make a dataset");
  for (const Hdf5Attribute& attribute : dataset.attributes) add_attribute(created, attribute);
  if (!dataset.sources.empty()) return -1;
  const haddr_t offset = H5Dget_offset(created);
  if (offset == HADDR_UNDEF) throw_hdf5("tell where a dataset lies");
  TRIREME_ASSERT(offset % kAlignment == 0, "dataset " + dataset.path + " is not aligned");
  return static_cast<int64_t>(offset);
}

Hdf5Handle file_properties(bool holds_data) {
  Hdf5Handle properties(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "make properties");
  check_hdf5(H5Pset_libver_bounds(properties, H5F_LIBVER_V110, H5F_LIBVER_V110), "set the format version");
  if (!holds_data) return properties;
  // Every data set begins at a page, however small; so does every metadata block, which costs little.
  check_hdf5(H5Pset_alignment(properties, 1, kAlignment), "set the alignment");
  check_hdf5(H5Pset_meta_block_size(properties, 8192), "set the metadata block size");
  check_hdf5(H5Pset_small_data_block_size(properties, 0), "set the small data block size");
  return properties;
}

std::string scratch_directory() {
  std::vector<std::string> candidates = {"/dev/shm"};
  std::error_code error;
  candidates.push_back(std::filesystem::temp_directory_path(error).string());
  for (const std::string& candidate : candidates)
    if (!candidate.empty() && ::access(candidate.c_str(), W_OK) == 0 &&
        free_bytes(candidate) > kRoomForMetadata)
      return candidate;
  throw IoError(fmt::format("no place with {} MiB free to lay out an HDF5 file; looked in {}",
                            kRoomForMetadata >> 20, fmt::join(candidates, ", ")));
}

std::vector<Hdf5Skeleton::Extent> read_written_ranges(const File& file, int64_t size) {
  std::vector<Hdf5Skeleton::Extent> ranges;
  int64_t total = 0;
  for (int64_t begin = 0, end = 0; begin < size; begin = end) {
    begin = ::lseek(file.descriptor(), end, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;
    if (begin < 0) throw_errno("find the written ranges of", file.path(), errno);
    end = ::lseek(file.descriptor(), begin, SEEK_HOLE);
    if (end < 0) throw_errno("find the holes of", file.path(), errno);
    total += end - begin;
    if (total > kLargestMetadata)
      throw IoError(
          fmt::format("'{}' is on a file system without sparse files; make /dev/shm usable", file.path()));
    ranges.push_back({begin, std::vector<std::byte>(static_cast<size_t>(end - begin))});
    file.read_at(begin, ranges.back().bytes);
  }
  return ranges;
}

std::string scratch_path() {
  static std::atomic<uint64_t> counter{0};
  return fmt::format("{}/trireme-hdf5-{}-{}", scratch_directory(), ::getpid(), counter++);
}

}  // namespace

Hdf5Skeleton make_hdf5_skeleton(const std::vector<Hdf5Dataset>& datasets,
                                const std::vector<Hdf5Attribute>& root_attributes) {
  // Ranks may be threads of one process, and not every build of libhdf5 is thread-safe.
  static std::mutex library;
  const std::lock_guard lock(library);
  check_hdf5(H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr), "be silent");

  const std::string path = scratch_path();
  const bool holds_data = std::any_of(datasets.begin(), datasets.end(),
                                      [](const Hdf5Dataset& dataset) { return dataset.sources.empty(); });
  const Hdf5Handle properties = file_properties(holds_data);
  Hdf5Handle hdf5(H5Fcreate(path.c_str(), H5F_ACC_EXCL, timeless(H5P_FILE_CREATE), properties), H5Fclose,
                  "lay out a file in memory");
  const File file = File::open_to_read(path);
  ::unlink(path.c_str());  // nothing is left behind, even by kill -9

  Hdf5Skeleton skeleton;
  for (const Hdf5Attribute& attribute : root_attributes) add_attribute(hdf5, attribute);
  for (const Hdf5Dataset& dataset : datasets) {
    const int64_t offset = add_dataset(hdf5, dataset);
    if (offset >= 0) skeleton.data_offsets.push_back(offset);
  }
  hdf5.close("finish a file");
  skeleton.size = file.size();
  skeleton.metadata = read_written_ranges(file, skeleton.size);
  return skeleton;
}

std::string hdf5_version() {
  unsigned major = 0, minor = 0, release = 0;
  check_hdf5(H5get_libversion(&major, &minor, &release), "tell its version");
  return fmt::format("{}.{}.{}", major, minor, release);
}

}  // namespace trireme::io
