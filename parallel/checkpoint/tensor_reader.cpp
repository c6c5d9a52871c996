#include "parallel/checkpoint/tensor_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <span>

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/parallel_tasks.h"
#include "core/io/digest.h"
#include "core/io/file.h"

namespace trireme::checkpoint {
namespace {

using Bytes = std::span<const std::byte>;

/// Small enough that a block is digested and copied while it is in the processor's cache.
constexpr int64_t kLargestRead = int64_t{8} << 20;
constexpr int64_t kMostThreads = 2;
/// Reads that the disk is asked for ahead.
constexpr int64_t kReadsAhead = 32;
constexpr int64_t kLargestGap = int64_t{256} << 10;

/// A block of a saved box, and whom it is for.
struct Block {
  const SavedTensor* tensor = nullptr;
  const SavedBox* saved = nullptr;
  const HeldTensor* target = nullptr;  ///< null: only to be checked
  int64_t begin = 0;                   ///< first byte in the box
  int64_t num_bytes = 0;
  std::byte* destination = nullptr;  ///< where the whole block lies in the target as it does in the file

  int64_t file_begin() const { return saved->file_offset + begin; }
  int64_t file_end() const { return file_begin() + num_bytes; }
};

/// Row-major distance, in bytes, between neighbours in each dimension of a box.
Shape byte_strides(const Shape& extent, int64_t element) {
  Shape strides(extent.size());
  for (size_t dim = extent.size(); dim-- > 0;) {
    strides[dim] = element;
    element *= extent[dim];
  }
  return strides;
}

/// First and last byte (in the saved box) of what the target wants of it.
std::pair<int64_t, int64_t> wanted_bytes(const SavedBox& saved, const Box& shared, int64_t element) {
  const Shape strides = byte_strides(saved.box.extent, element);
  int64_t first = 0, last = element;
  for (size_t dim = 0; dim < strides.size(); ++dim) {
    first += (shared.offset[dim] - saved.box.offset[dim]) * strides[dim];
    last += (shared.offset[dim] + shared.extent[dim] - 1 - saved.box.offset[dim]) * strides[dim];
  }
  return {first, last};
}

/// Where the block goes when its bytes lie together in the target too: boxes that differ in dimension 0 only.
std::byte* find_destination(const Block& block, const Box& shared) {
  const Box& from = block.saved->box;
  const HeldTensor& target = *block.target;
  if (!target.data.is_contiguous()) return nullptr;
  for (size_t dim = 1; dim < from.extent.size(); ++dim)
    if (from.extent[dim] != target.box.box.extent[dim] || from.extent[dim] != shared.extent[dim])
      return nullptr;
  const int64_t row_bytes = byte_strides(from.extent, size_of(block.tensor->dtype))[0];
  const int64_t first = (shared.offset[0] - from.offset[0]) * row_bytes;
  if (block.begin < first || block.begin + block.num_bytes > first + shared.extent[0] * row_bytes)
    return nullptr;
  return target.data.raw() + (shared.offset[0] - target.box.box.offset[0]) * row_bytes + block.begin - first;
}

void add_blocks(std::vector<Block>& blocks, const Manifest& manifest, const Block& whole, int64_t first,
                int64_t last) {
  const int64_t size = manifest.block_bytes;
  for (int64_t begin = first / size * size; begin < last; begin += size) {
    blocks.push_back(whole);
    blocks.back().begin = begin;
    blocks.back().num_bytes = std::min(size, whole.saved->num_bytes - begin);
  }
}

/// Copies the part of the block that the target wants.
void copy_block(const Block& block, Bytes bytes) {
  const HeldTensor& target = *block.target;
  const Box& from = block.saved->box;
  const Box& to = target.box.box;
  const Box shared = *intersection(from, to);
  const int64_t element = size_of(block.tensor->dtype);
  const Shape strides = byte_strides(from.extent, element);
  const size_t last_dim = shared.offset.size() - 1;
  const int64_t run_bytes = shared.extent[last_dim] * element;

  // Only the rows of dimension 0 that meet the block are walked.
  Shape index(shared.offset.size(), 0);  // in `shared`, dimension by dimension
  int64_t end_row = 1;
  if (last_dim > 0) {
    const int64_t lead = shared.offset[0] - from.offset[0];
    index[0] = std::max<int64_t>(0, block.begin / strides[0] - lead);
    end_row = std::min(shared.extent[0], (block.begin + block.num_bytes - 1) / strides[0] - lead + 1);
  }
  while (index[0] < end_row) {
    int64_t position = 0, target_row = 0;
    for (size_t dim = 0; dim <= last_dim; ++dim) {
      const int64_t coordinate = shared.offset[dim] + index[dim];
      position += (coordinate - from.offset[dim]) * strides[dim];
      if (dim < last_dim) target_row = target_row * to.extent[dim] + coordinate - to.offset[dim];
    }
    const int64_t begin = std::max(position, block.begin);
    const int64_t end = std::min(position + run_bytes, block.begin + block.num_bytes);
    if (begin < end) {
      const int64_t column = (shared.offset[last_dim] - to.offset[last_dim]) * element;
      std::byte* row = target.data.raw() + target_row * target.data.row_stride() * element;
      std::memcpy(row + column + (begin - position), bytes.data() + (begin - block.begin),
                  static_cast<size_t>(end - begin));
    }
    if (last_dim == 0) break;
    size_t dim = last_dim;
    while (dim-- > 0 && ++index[dim] == shared.extent[dim] && dim > 0) index[dim] = 0;
  }
}

/// A line that says what is wrong with a block, or nothing.
std::string damage_of(const std::string& path, const Manifest& manifest, const Block& block, Bytes bytes) {
  const std::string actual = io::digest_of(bytes);
  const std::string& expected = block.saved->digests[static_cast<size_t>(block.begin / manifest.block_bytes)];
  if (actual == expected) return "";
  return fmt::format(
      "'{}' is damaged: {} {}, box {}, bytes {} to {} of the file have digest {} instead of {}", path,
      block.tensor->role, block.tensor->name, to_string(block.saved->box), block.file_begin(),
      block.file_end(), actual, expected);
}

/// A range of a file that is read at once, and the blocks in it: several, or one that has a destination.
struct Read {
  const io::File* file = nullptr;
  std::span<const Block> blocks;  ///< ascending
  int64_t end = 0;                ///< of the last byte

  int64_t begin() const { return blocks.front().file_begin(); }
  int64_t num_bytes() const { return end - begin(); }
  std::byte* destination() const { return blocks.front().destination; }
};

/// Few and large reads that hold all blocks of one file, which it sorts.
void add_reads(std::vector<Read>& reads, const io::File& file, std::vector<Block>& blocks,
               int64_t largest_read) {
  std::sort(blocks.begin(), blocks.end(),
            [](const Block& a, const Block& b) { return a.file_begin() < b.file_begin(); });
  for (size_t first = 0, next = 0; first < blocks.size(); first = next) {
    const int64_t begin = blocks[first].file_begin();
    int64_t end = blocks[first].file_end();
    for (next = first + 1; next < blocks.size(); ++next) {
      if (blocks[first].destination != nullptr || blocks[next].destination != nullptr) break;
      if (blocks[next].file_begin() - end > kLargestGap || blocks[next].file_end() - begin > largest_read)
        break;
      end = std::max(end, blocks[next].file_end());
    }
    reads.push_back({&file, std::span(blocks).subspan(first, next - first), end});
  }
}

/// Calls `use(file, block, its bytes)` for every block of every file, on several threads where the memory
/// allows. Returns the bytes read. An exception of `use` ends the reading; of several, that of the first
/// read.
template <class Use>
int64_t read_blocks(const std::string& step_directory, std::map<std::string, std::vector<Block>>& blocks,
                    int64_t buffer_bytes, const Use& use) {
  std::deque<io::File> files;
  std::vector<Read> reads;
  for (auto& [name, list] : blocks) {
    files.push_back(io::File::open_to_read(step_directory + "/" + name));
    add_reads(reads, files.back(), list, std::min(kLargestRead, buffer_bytes));
  }
  const auto num_threads =
      static_cast<int>(std::clamp<int64_t>(buffer_bytes / kLargestRead, 1, kMostThreads));
  std::vector<std::vector<std::byte>> buffers(static_cast<size_t>(num_threads));
  std::atomic<int64_t> num_bytes = 0, failed = static_cast<int64_t>(reads.size());
  run_tasks(static_cast<int64_t>(reads.size()), num_threads, [&](int64_t task, int thread) {
    if (task > failed) return;
    const Read& read = reads[static_cast<size_t>(task)];
    if (const auto ahead = static_cast<size_t>(task + kReadsAhead); ahead < reads.size())
      reads[ahead].file->will_need(reads[ahead].begin(), reads[ahead].num_bytes());
    const auto size = static_cast<size_t>(read.num_bytes());
    std::vector<std::byte>& buffer = buffers[static_cast<size_t>(thread)];
    if (read.destination() == nullptr) buffer.resize(std::max(buffer.size(), size));
    const std::span bytes(read.destination() == nullptr ? buffer.data() : read.destination(), size);
    try {
      read.file->read_at(read.begin(), bytes);
      num_bytes += read.num_bytes();
      for (const Block& block : read.blocks)
        use(*read.file, block,
            Bytes(bytes).subspan(static_cast<size_t>(block.file_begin() - read.begin()),
                                 static_cast<size_t>(block.num_bytes)));
    } catch (...) {
      for (int64_t seen = failed; task < seen && !failed.compare_exchange_weak(seen, task);) {
      }
      throw;
    }
  });
  return num_bytes;
}

}  // namespace

int64_t read_tensors(const std::string& step_directory, const Manifest& manifest,
                     const std::vector<HeldTensor>& targets, int64_t buffer_bytes) {
  std::map<std::pair<Role, std::string>, const SavedTensor*> saved_tensors;
  for (const SavedTensor& tensor : manifest.tensors) saved_tensors[{tensor.role, tensor.name}] = &tensor;
  std::map<std::string, std::vector<Block>> blocks;  // by file
  for (const HeldTensor& target : targets) {
    const auto found = saved_tensors.find({target.box.role, target.box.name});
    TRIREME_ASSERT(found != saved_tensors.end(), target.box.name + " is not in the checkpoint");
    const SavedTensor& tensor = *found->second;
    for (const SavedBox& saved : tensor.boxes) {
      const std::optional<Box> shared = intersection(saved.box, target.box.box);
      if (!shared) continue;
      const auto [first, last] = wanted_bytes(saved, *shared, size_of(tensor.dtype));
      std::vector<Block>& list = blocks[saved.file];
      const size_t before = list.size();
      add_blocks(list, manifest, {&tensor, &saved, &target}, first, last);
      for (Block& block : std::span(list).subspan(before))
        block.destination = find_destination(block, *shared);
    }
  }
  return read_blocks(
      step_directory, blocks, buffer_bytes, [&](const io::File& file, const Block& block, Bytes bytes) {
        if (const std::string damage = damage_of(file.path(), manifest, block, bytes); !damage.empty())
          throw CheckpointError(damage);
        if (block.destination == nullptr) copy_block(block, bytes);
      });
}

Tensor read_tensor(Context& context, const std::string& step_directory, const Manifest& manifest,
                   const SavedTensor& tensor) {
  const Tensor data = context.workspace(tensor.shape, tensor.dtype);
  read_tensors(step_directory, manifest,
               {{{{tensor.role, tensor.name, tensor.dtype, tensor.shape, tensor.parameter_group},
                  {Shape(tensor.shape.size(), 0), tensor.shape}},
                 data}},
               kUsualReadBuffer);
  return data;
}

std::vector<std::string> check_blocks(const std::string& step_directory, const Manifest& manifest,
                                      const std::string& file_name) {
  std::map<std::string, std::vector<Block>> blocks;
  for (const SavedTensor& tensor : manifest.tensors)
    for (const SavedBox& saved : tensor.boxes)
      if (saved.file == file_name)
        add_blocks(blocks[file_name], manifest, {&tensor, &saved}, 0, saved.num_bytes);
  std::mutex mutex;
  std::map<int64_t, std::string> lines;  // by place in the file
  read_blocks(step_directory, blocks, kUsualReadBuffer,
              [&](const io::File& file, const Block& block, Bytes bytes) {
                if (std::string damage = damage_of(file.path(), manifest, block, bytes); !damage.empty()) {
                  const std::lock_guard lock(mutex);
                  lines[block.file_begin()] = std::move(damage);
                }
              });
  std::vector<std::string> sorted;
  for (auto& [place, line] : lines) sorted.push_back(std::move(line));
  return sorted;
}

}  // namespace trireme::checkpoint
