#include "parallel/checkpoint/shard_writer.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/io/digest.h"
#include "core/io/file.h"
#include "core/io/hdf5_skeleton.h"
#include "parallel/checkpoint/fault.h"

namespace trireme::checkpoint {
namespace {

using Bytes = std::span<const std::byte>;

/// Writes a file from front to back and digests it on the way.
class SequentialWriter {
 public:
  SequentialWriter(const std::string& path, int64_t size, const std::atomic<bool>& cancelled)
      : file_(io::File::create(path)), size_(size), cancelled_(cancelled) {
    file_.reserve(size);
  }

  int64_t position() const { return position_; }

  void append(Bytes bytes) {
    go_on();
    digest_.update(bytes);
    file_.write_at(position_, bytes);
    // Starts the disk early; fsync waits for it. Only a hint.
    ::sync_file_range(file_.descriptor(), position_, static_cast<off_t>(bytes.size()), SYNC_FILE_RANGE_WRITE);
    position_ += static_cast<int64_t>(bytes.size());
  }

  SavedFile finish(int rank) {
    TRIREME_ASSERT(position_ == size_, "a shard was not written to its end");
    fault_point("before_fsync", rank);
    go_on();
    file_.sync();
    file_.close();
    return {size_, digest_.hex()};
  }

 private:
  void go_on() const {
    if (cancelled_.load(std::memory_order_relaxed))
      throw IoError(fmt::format("'{}' was given up: the run ends", file_.path()));
  }

  io::File file_;
  io::Digest digest_;
  int64_t size_;
  const std::atomic<bool>& cancelled_;
  int64_t position_ = 0;
};

/// What HDF5 put between the numbers, from the writer's position to `end`.
void append_metadata(SequentialWriter& writer, const io::Hdf5Skeleton& skeleton, int64_t end) {
  std::vector<std::byte> gap(static_cast<size_t>(end - writer.position()));
  for (const auto& extent : skeleton.metadata) {
    const int64_t begin = std::max(extent.offset, writer.position());
    const int64_t stop = std::min(extent.offset + static_cast<int64_t>(extent.bytes.size()), end);
    if (begin < stop)
      std::memcpy(gap.data() + (begin - writer.position()), extent.bytes.data() + (begin - extent.offset),
                  static_cast<size_t>(stop - begin));
  }
  writer.append(gap);
}

/// Block by block; rows that are padded in memory are packed first.
std::vector<std::string> append_tensor(SequentialWriter& writer, const Tensor& tensor) {
  std::vector<std::string> digests;
  const auto put = [&](Bytes block) {
    digests.push_back(io::digest_of(block));
    writer.append(block);
  };
  if (tensor.is_contiguous()) {
    const Bytes all(tensor.raw(), static_cast<size_t>(tensor.num_bytes()));
    for (size_t begin = 0; begin < all.size(); begin += kBlockBytes)
      put(all.subspan(begin, std::min<size_t>(kBlockBytes, all.size() - begin)));
    return digests;
  }
  const int64_t row_bytes = tensor.cols() * size_of(tensor.dtype());
  std::vector<std::byte> block;
  for (int64_t row = 0; row < tensor.rows(); ++row) {
    Bytes rest(tensor.raw() + row * tensor.row_stride() * size_of(tensor.dtype()),
               static_cast<size_t>(row_bytes));
    while (!rest.empty()) {
      const size_t count = std::min<size_t>(rest.size(), kBlockBytes - block.size());
      block.insert(block.end(), rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(count));
      rest = rest.subspan(count);
      if (block.size() == kBlockBytes) {
        put(block);
        block.clear();
      }
    }
  }
  if (!block.empty()) put(block);
  return digests;
}

io::Hdf5Skeleton lay_out(const SavePlan& plan, const std::vector<PlannedBox>& planned) {
  std::vector<io::Hdf5Dataset> datasets;
  for (const PlannedBox& part : planned) {
    const LogicalTensor& tensor = plan.tensors[part.tensor];
    datasets.push_back({dataset_path(tensor, part.box),
                        part.box.extent,
                        tensor.dtype,
                        {{"global_shape", tensor.global_shape},
                         {"offset", part.box.offset},
                         {"extent", part.box.extent},
                         {"dtype", std::string(name_of(tensor.dtype))},
                         {"parameter_group", tensor.parameter_group}},
                        {}});
  }
  return io::make_hdf5_skeleton(datasets, {{"format_version", std::vector<int64_t>{kFormatVersion}}});
}

}  // namespace

std::string shard_name(int rank, int num_ranks) {
  return fmt::format("shard-{:05}-of-{:05}.h5", rank, num_ranks);
}

std::string dataset_path(const LogicalTensor& tensor, const Box& box) {
  TRIREME_ASSERT(!tensor.name.empty() && tensor.name.find_first_of("/%") == std::string::npos,
                 "tensor name '" + tensor.name + "' cannot be a link in HDF5");
  return fmt::format("/{}/{}/{}", tensor.role, tensor.name, to_string(box));
}

int64_t metadata_allowance(size_t num_boxes) {
  return (int64_t{1} << 20) + static_cast<int64_t>(num_boxes) * 16 * 1024;
}

ShardReport write_shard(const std::string& directory, int rank, const SavePlan& plan,
                        const std::vector<Tensor>& data, const std::atomic<bool>& cancelled) {
  const std::vector<PlannedBox>& planned = plan.ranks[static_cast<size_t>(rank)];
  const io::Hdf5Skeleton skeleton = lay_out(plan, planned);
  fault_point("skeleton", rank);
  ShardReport report;
  report.file = shard_name(rank, static_cast<int>(plan.ranks.size()));
  report.boxes.resize(planned.size());
  std::vector<size_t> order(planned.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return skeleton.data_offsets[a] < skeleton.data_offsets[b]; });

  SequentialWriter writer(directory + "/" + report.file, skeleton.size, cancelled);
  for (const size_t index : order) {
    append_metadata(writer, skeleton, skeleton.data_offsets[index]);
    SavedBox& saved = report.boxes[index];
    saved.box = planned[index].box;
    saved.file_offset = writer.position();
    saved.num_bytes = data[index].num_bytes();
    saved.digests = append_tensor(writer, data[index]);
    fault_point("write", rank);
  }
  append_metadata(writer, skeleton, skeleton.size);
  report.written = writer.finish(rank);
  return report;
}

std::string to_json(const ShardReport& report) {
  nlohmann::json boxes = nlohmann::json::array();
  for (const SavedBox& saved : report.boxes)
    boxes.push_back({saved.box.offset, saved.box.extent, saved.file_offset, saved.num_bytes, saved.digests});
  return nlohmann::json{{"file", report.file},
                        {"size", report.written.size},
                        {"digest", report.written.digest},
                        {"boxes", std::move(boxes)},
                        {"snapshot_seconds", report.snapshot_seconds},
                        {"write_seconds", report.write_seconds}}
      .dump();
}

ShardReport parse_shard_report(const std::string& text) {
  const nlohmann::json parsed = nlohmann::json::parse(text);
  ShardReport report;
  report.file = parsed.at("file").get<std::string>();
  report.written = {parsed.at("size").get<int64_t>(), parsed.at("digest").get<std::string>()};
  for (const nlohmann::json& box : parsed.at("boxes"))
    report.boxes.push_back({{box.at(0).get<Shape>(), box.at(1).get<Shape>()},
                            "",
                            box.at(2).get<int64_t>(),
                            box.at(3).get<int64_t>(),
                            box.at(4).get<std::vector<std::string>>()});
  report.snapshot_seconds = parsed.at("snapshot_seconds").get<double>();
  report.write_seconds = parsed.at("write_seconds").get<double>();
  return report;
}

}  // namespace trireme::checkpoint
