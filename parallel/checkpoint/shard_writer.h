#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/save_plan.h"

namespace trireme::checkpoint {

/// What a rank tells about the shard it wrote.
struct ShardReport {
  std::string file;
  SavedFile written;
  std::vector<SavedBox> boxes;  ///< in the order of the plan; `file` left empty
  double snapshot_seconds = 0;
  double write_seconds = 0;  ///< laying out, digests, write, fsync
};
std::string to_json(const ShardReport& report);
ShardReport parse_shard_report(const std::string& text);

/// "shard-00003-of-00016.h5".
std::string shard_name(int rank, int num_ranks);
/// "/model/h.0.attn.q.weight/0,0+64,128": the data set of a box in its shard.
std::string dataset_path(const LogicalTensor& tensor, const Box& box);
/// At most what a shard of these boxes takes beside its numbers.
int64_t metadata_allowance(size_t num_boxes);

/// Writes the boxes that `plan` gives to `rank`, whose numbers are `data` (in the plan's order), to
/// `<directory>/<shard_name>` and brings them to the disk. Digests are made from memory before each write.
/// Ends with an IoError soon after `cancelled` is set. May run in the background.
ShardReport write_shard(const std::string& directory, int rank, const SavePlan& plan,
                        const std::vector<Tensor>& data, const std::atomic<bool>& cancelled);

}  // namespace trireme::checkpoint
