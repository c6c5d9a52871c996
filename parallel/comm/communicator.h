#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor/context.h"

namespace trireme {

enum class ReduceOp { kSum, kMax, kMin };

/// A range of elements; may be empty.
struct Slice {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t length() const { return end - begin; }
};

/// The part of `count` elements that belongs to `rank` of `size`: equal parts that start at multiples of 64
/// elements, so that tensors of any two types are cut alike and no two ranks write to one cache line. The
/// last parts may be shorter or empty.
Slice slice_of_rank(int64_t count, int rank, int size);

/// Calls, bytes and waiting by operation name, as seen by this rank. Calls and bytes are counted when a call
/// begins; the bytes do not depend on the transport:
///   all_reduce, reduce_scatter_slices, all_gather_slices, broadcast   the tensor (on every rank)
///   all_gather, reduce_scatter, all_to_all                            the input
///   send, receive                                                     the message
///   gather_bytes                                                      what this rank gave
///   barrier                                                           0
/// gather_bytes and barrier are control messages; split and allocate count as the gather_bytes they make.
struct CommCounters {
  struct Entry {
    int64_t calls = 0;
    int64_t bytes = 0;
    double wait_seconds = 0;  ///< in Work::wait, where this rank also does its share of reductions
  };
  std::map<std::string, Entry> entries;
};

/// A communication under way. It holds the tensors it uses. Destroying one that is not done waits for it.
class Work {
 public:
  virtual ~Work() = default;
  virtual bool test() = 0;  ///< moves it along; true when done
  virtual void
  wait() = 0;  ///< until done or the deadline: then CommError (exit 124) naming operation, ranks and step
};

/// A group of ranks on one mesh axis. Collectives are called by every rank of the group in the same order,
/// from the rank's own thread. Tensors are contiguous host tensors of floating or integer type. Reductions
/// add in rank order: the same layout twice gives the same bits on every rank. Errors: CommError naming
/// group, operation, rank and step.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const std::string& name() const = 0;  ///< "world", "data", ...

  virtual std::unique_ptr<Work> all_reduce_async(Tensor tensor, ReduceOp op) = 0;  ///< in place
  virtual std::unique_ptr<Work> all_gather_async(Tensor input,
                                                 Tensor output) = 0;  ///< output = size() inputs
  virtual std::unique_ptr<Work> reduce_scatter_async(Tensor input, Tensor output,
                                                     ReduceOp op) = 0;  ///< input = size() outputs
  /// In place. Afterwards this rank's own slice (slice_of_rank) holds the reduction; the other slices hold
  /// undefined values.
  virtual std::unique_ptr<Work> reduce_scatter_slices_async(Tensor tensor, ReduceOp op) = 0;
  /// In place: every rank's own slice (slice_of_rank) is copied to all ranks.
  virtual std::unique_ptr<Work> all_gather_slices_async(Tensor tensor) = 0;
  virtual std::unique_ptr<Work> all_to_all_async(Tensor input, Tensor output) = 0;  ///< equal parts
  virtual std::unique_ptr<Work> broadcast_async(Tensor tensor, int root) = 0;
  virtual std::unique_ptr<Work> send_async(Tensor tensor, int destination, int tag) = 0;
  /// Receives of one source and tag take its messages in the order in which they were posted.
  virtual std::unique_ptr<Work> receive_async(Tensor tensor, int source, int tag) = 0;
  virtual void barrier() = 0;

  void all_reduce(Tensor tensor, ReduceOp op) { all_reduce_async(std::move(tensor), op)->wait(); }
  void all_gather(Tensor input, Tensor output) {
    all_gather_async(std::move(input), std::move(output))->wait();
  }
  void reduce_scatter(Tensor input, Tensor output, ReduceOp op) {
    reduce_scatter_async(std::move(input), std::move(output), op)->wait();
  }
  void reduce_scatter_slices(Tensor tensor, ReduceOp op) {
    reduce_scatter_slices_async(std::move(tensor), op)->wait();
  }
  void all_gather_slices(Tensor tensor) { all_gather_slices_async(std::move(tensor))->wait(); }
  void all_to_all(Tensor input, Tensor output) {
    all_to_all_async(std::move(input), std::move(output))->wait();
  }
  void broadcast(Tensor tensor, int root) { broadcast_async(std::move(tensor), root)->wait(); }
  void send(Tensor tensor, int destination, int tag) {
    send_async(std::move(tensor), destination, tag)->wait();
  }
  void receive(Tensor tensor, int source, int tag) { receive_async(std::move(tensor), source, tag)->wait(); }

  /// Every rank's bytes, in rank order; lengths may differ. For small control messages.
  virtual std::vector<std::string> gather_bytes(const std::string& bytes) = 0;

  /// Memory that this transport reduces fastest (a window shared by the ranks of one host); collective.
  /// Zeroed.
  virtual std::shared_ptr<Storage> allocate(Context& context, int64_t bytes, MemoryCategory category) = 0;

  static constexpr int kNoColor = -1;
  /// A communicator of the ranks that gave the same color (>= 0), ordered by key; collective over this group.
  /// A rank that gives kNoColor belongs to none and gets null.
  virtual std::unique_ptr<Communicator> split(int color, int key, const std::string& name) = 0;

  /// Moves operations under way along; cheap.
  virtual void progress() = 0;
  virtual const CommCounters& counters() const = 0;
  /// Named in error messages.
  virtual void set_step(int64_t step) = 0;
  /// Every wait gives up after this long.
  virtual void set_deadline(std::chrono::milliseconds deadline) = 0;
  /// Tells every rank to give up, with a reason; called when this rank fails.
  virtual void abort(const std::string& reason, int exit_code) = 0;
};

}  // namespace trireme
