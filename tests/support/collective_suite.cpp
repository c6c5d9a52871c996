#include "tests/support/collective_suite.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace trireme::testing {
namespace {

constexpr DType kTypes[] = {DType::kFloat64, DType::kFloat32, DType::kBFloat16, DType::kFloat16,
                            DType::kInt64,   DType::kInt32,   DType::kUInt16,   DType::kUInt8};
constexpr int64_t kLengths[] = {0, 1, 7, 63, 64, 65, 1001};

template <class Body>
void with_type(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::kInt64:
      return body(int64_t{});
    case DType::kInt32:
      return body(int32_t{});
    case DType::kUInt16:
      return body(uint16_t{});
    case DType::kUInt8:
      return body(uint8_t{});
    default:
      return dispatch_floating(dtype, body);
  }
}

/// Element i of rank r's tensor: noise with all its bits for floating types, small integers otherwise.
template <class T>
T element(int rank, int64_t i) {
  uint64_t bits =
      static_cast<uint64_t>(i + 1) * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(rank) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 29)) * 0x94D049BB133111EBu;
  bits ^= bits >> 32;
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(bits % 50);
  } else {
    const double value = static_cast<double>(static_cast<int64_t>(bits)) * 0x1p-62;
    if constexpr (std::is_same_v<T, double>)
      return value;
    else
      return static_cast<T>(static_cast<float>(value));
  }
}

template <class T>
struct Wide {
  using type = std::conditional_t<std::is_same_v<T, double>, double,
                                  std::conditional_t<std::is_integral_v<T>, int64_t, float>>;
};

/// The reduction of element i over the ranks, in rank order, as the contract says.
template <class T>
T reduced(int size, int64_t i, ReduceOp op) {
  using W = typename Wide<T>::type;
  W total = static_cast<W>(element<T>(0, i));
  for (int rank = 1; rank < size; ++rank) {
    const W next = static_cast<W>(element<T>(rank, i));
    if (op == ReduceOp::kSum) total += next;
    if (op == ReduceOp::kMax) total = std::max(total, next);
    if (op == ReduceOp::kMin) total = std::min(total, next);
  }
  return static_cast<T>(total);
}

class Suite {
 public:
  Suite(Communicator& group, Context& context, bool shared)
      : group_(group), context_(context), shared_(shared) {}

  Tensor make(int64_t count, DType dtype) {
    if (!shared_) return Tensor::allocate(context_.allocator, {count}, dtype, MemoryCategory::kWorkspace);
    return Tensor::view_of(
        group_.allocate(context_, count * size_of(dtype) + 128, MemoryCategory::kWorkspace), 128, {count},
        dtype);
  }
  template <class T>
  Tensor filled(int64_t count) {
    Tensor tensor = make(count, DTypeOf<T>::value);
    for (int64_t i = 0; i < count; ++i) tensor.data<T>()[i] = element<T>(group_.rank(), i);
    return tensor;
  }
  template <class T, class Expected>
  void compare(const Tensor& tensor, const std::string& what, Expected&& expected) {
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      const T wanted = expected(i);
      if (std::memcmp(&wanted, tensor.data<T>() + i, sizeof(T)) == 0) continue;
      ADD_FAILURE() << what << " of " << tensor.num_elements() << " " << name_of(tensor.dtype())
                    << (shared_ ? " in shared memory" : "") << ": rank " << group_.rank() << " of "
                    << group_.size() << " differs at element " << i;
      return;
    }
  }

  template <class T>
  void run_large(int64_t count) {
    const int size = group_.size(), rank = group_.rank();
    Tensor input = filled<T>(count * size);
    Tensor output = make(count, DTypeOf<T>::value);
    group_.reduce_scatter(input, output, ReduceOp::kSum);
    compare<T>(output, "reduce_scatter",
               [&](int64_t i) { return reduced<T>(size, rank * count + i, ReduceOp::kSum); });
    group_.all_reduce(input, ReduceOp::kSum);
    compare<T>(input, "all_reduce", [&](int64_t i) { return reduced<T>(size, i, ReduceOp::kSum); });
    run_slices<T>(count * size + 1);
  }

  /// Outside its own slice a rank may hold anything after reduce_scatter_slices, before all_gather_slices.
  template <class T>
  void run_slices(int64_t count) {
    const Slice own = slice_of_rank(count, group_.rank(), group_.size());
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin}) {
      Tensor tensor = filled<T>(count);
      group_.reduce_scatter_slices(tensor, op);
      compare<T>(tensor.slice(0, own.begin, own.length()), "reduce_scatter_slices",
                 [&](int64_t i) { return reduced<T>(group_.size(), own.begin + i, op); });
      for (int64_t i = 0; i < count; ++i)
        if (i < own.begin || i >= own.end) tensor.data<T>()[i] = element<T>(99, i);
      group_.all_gather_slices(tensor);
      compare<T>(tensor, "all_gather_slices", [&](int64_t i) { return reduced<T>(group_.size(), i, op); });
    }
  }

  template <class T>
  void run(int64_t count) {
    const int size = group_.size(), rank = group_.rank();
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin}) {
      Tensor tensor = filled<T>(count);
      group_.all_reduce(tensor, op);
      compare<T>(tensor, "all_reduce", [&](int64_t i) { return reduced<T>(size, i, op); });

      Tensor input = filled<T>(count * size);
      Tensor output = make(count, DTypeOf<T>::value);
      group_.reduce_scatter(input, output, op);
      compare<T>(output, "reduce_scatter", [&](int64_t i) { return reduced<T>(size, rank * count + i, op); });
    }
    Tensor gathered = make(count * size, DTypeOf<T>::value);
    group_.all_gather(filled<T>(count), gathered);
    compare<T>(gathered, "all_gather",
               [&](int64_t i) { return element<T>(static_cast<int>(i / count), i % count); });

    Tensor exchanged = make(count * size, DTypeOf<T>::value);
    group_.all_to_all(filled<T>(count * size), exchanged);
    compare<T>(exchanged, "all_to_all",
               [&](int64_t i) { return element<T>(static_cast<int>(i / count), rank * count + i % count); });
    for (int root = 0; root < size; ++root) {
      Tensor tensor = filled<T>(count);
      group_.broadcast(tensor, root);
      compare<T>(tensor, "broadcast", [&](int64_t i) { return element<T>(root, i); });
    }
  }

 private:
  Communicator& group_;
  Context& context_;
  bool shared_;
};

}  // namespace

void expect_collectives_match_loops(Communicator& group, Context& context, bool shared) {
  Suite suite(group, context, shared);
  for (const DType dtype : kTypes)
    for (const int64_t length : kLengths)
      with_type(dtype, [&](auto type) {
        suite.run<decltype(type)>(length);
        suite.run_slices<decltype(type)>(length);
      });
  suite.run_large<float>(300'003);  // several pieces of the exchange, many chunks of the kernel
}

void expect_many_operations_keep_their_order(Communicator& group, Context& context, bool shared) {
  constexpr int kNumOperations = 200;
  Suite suite(group, context, shared);
  Tensor all = suite.make(kNumOperations * 16, DType::kFloat32);
  std::vector<std::unique_ptr<Work>> works;
  for (int k = 0; k < kNumOperations; ++k) {
    Tensor one = all.slice(0, k * 16, 10);
    for (int64_t i = 0; i < 10; ++i) one.data<float>()[i] = static_cast<float>(k * 100 + group.rank());
    works.push_back(group.all_reduce_async(one, ReduceOp::kSum));
    if (k % 7 == group.rank()) works.back()->test();
  }
  for (int k = kNumOperations; k-- > 0;) works[static_cast<size_t>(k)]->wait();
  const int size = group.size();
  for (int k = 0; k < kNumOperations; ++k)
    EXPECT_EQ(all.data<float>()[k * 16 + 9], static_cast<float>(k * 100 * size + size * (size - 1) / 2));
}

void expect_messages_reach_their_tags(Communicator& group, Context& context) {
  const int size = group.size(), rank = group.rank();
  if (size == 1) return;
  const int next = (rank + 1) % size, previous = (rank + size - 1) % size;
  std::vector<std::unique_ptr<Work>> works;
  std::vector<Tensor> received;
  const auto make = [&] {
    return Tensor::allocate(context.allocator, {5}, DType::kInt32, MemoryCategory::kWorkspace);
  };
  for (int tag = 3; tag >= 0; --tag) {
    received.push_back(make());
    works.push_back(group.receive_async(received.back(), previous, tag));
  }
  for (int tag = 0; tag < 4; ++tag) {
    Tensor sent = make();
    for (int i = 0; i < 5; ++i) sent.data<int32_t>()[i] = 1000 * rank + 10 * tag + i;
    works.push_back(group.send_async(sent, next, tag));
  }
  for (auto& work : works) work->wait();
  for (int tag = 0; tag < 4; ++tag)
    EXPECT_EQ(received[static_cast<size_t>(3 - tag)].data<int32_t>()[4], 1000 * previous + 10 * tag + 4);
}

void expect_messages_of_one_tag_keep_their_order(Communicator& group, Context& context) {
  const int size = group.size(), rank = group.rank();
  if (size == 1) return;
  const int next = (rank + 1) % size, previous = (rank + size - 1) % size;
  const auto make = [&](int64_t count) {
    return context.zeros({count}, DType::kInt32, MemoryCategory::kWorkspace);
  };
  const Tensor first = make(3), second = make(500);
  const auto receive_first = group.receive_async(first, previous, 9);
  const auto receive_second = group.receive_async(second, previous, 9);
  const Tensor one = make(3), two = make(500);
  std::fill_n(one.data<int32_t>(), 3, 1);
  std::fill_n(two.data<int32_t>(), 500, 2);
  const auto send_one = group.send_async(one, next, 9);
  const auto send_two = group.send_async(two, next, 9);
  receive_second->wait();  // asked first, posted second
  receive_first->wait();
  send_one->wait();
  send_two->wait();
  EXPECT_EQ(first.data<int32_t>()[2], 1);
  EXPECT_EQ(second.data<int32_t>()[499], 2);
}

void expect_counters_follow_their_definition(Communicator& group, Context& context) {
  const int size = group.size(), rank = group.rank();
  const auto make = [&](int64_t count) {
    return context.zeros({count}, DType::kFloat32, MemoryCategory::kWorkspace);
  };
  const CommCounters before = group.counters();
  const auto expect = [&](const std::string& operation, int64_t calls, int64_t bytes) {
    const auto earlier = before.entries.find(operation);
    const CommCounters::Entry start =
        earlier == before.entries.end() ? CommCounters::Entry{} : earlier->second;
    const CommCounters::Entry& now = group.counters().entries.at(operation);
    EXPECT_EQ(now.calls - start.calls, calls) << operation << " on rank " << rank << " of " << size;
    EXPECT_EQ(now.bytes - start.bytes, bytes) << operation << " on rank " << rank << " of " << size;
  };
  group.all_reduce(make(10), ReduceOp::kSum);
  group.all_reduce(make(5), ReduceOp::kMax);
  group.all_gather(make(3), make(3 * size));
  group.reduce_scatter(make(7 * size), make(7), ReduceOp::kSum);
  group.reduce_scatter_slices(make(129), ReduceOp::kSum);
  group.all_gather_slices(make(131));
  group.all_to_all(make(2 * size), make(2 * size));
  group.broadcast(make(17), size - 1);
  group.barrier();
  group.gather_bytes(std::string(static_cast<size_t>(rank + 1), 'x'));
  expect("all_reduce", 2, 60);
  expect("all_gather", 1, 12);
  expect("reduce_scatter", 1, 28 * size);
  expect("reduce_scatter_slices", 1, 129 * 4);
  expect("all_gather_slices", 1, 131 * 4);
  expect("all_to_all", 1, 8 * size);
  expect("broadcast", 1, 17 * 4);
  expect("barrier", 1, 0);
  if (size > 1) {
    EXPECT_GT(group.counters().entries.at("barrier").wait_seconds, 0.0);
  }
  expect("gather_bytes", 1, rank + 1);
  if (size == 1) return;
  const auto sent = group.send_async(make(11), (rank + 1) % size, 0);
  group.receive(make(11), (rank + size - 1) % size, 0);
  sent->wait();
  expect("send", 1, 44);
  expect("receive", 1, 44);
}

void expect_splits_work(Communicator& group, Context& context) {
  const int size = group.size(), rank = group.rank();
  const std::string mine(static_cast<size_t>(rank * 3), static_cast<char>('a' + rank));
  const std::vector<std::string> gathered = group.gather_bytes(mine);
  ASSERT_EQ(static_cast<int>(gathered.size()), size);
  for (int other = 0; other < size; ++other)
    EXPECT_EQ(gathered[static_cast<size_t>(other)],
              std::string(static_cast<size_t>(other * 3), static_cast<char>('a' + other)));

  // Reversed order inside each half.
  const std::unique_ptr<Communicator> half = group.split(rank % 2, -rank, "half");
  const int expected_size = (size + 1 - rank % 2) / 2;
  EXPECT_EQ(half->size(), expected_size);
  EXPECT_EQ(half->rank(), expected_size - 1 - rank / 2);
  EXPECT_EQ(half->name(), "half");

  const bool first_or_last = rank == 0 || rank == size - 1;
  const std::unique_ptr<Communicator> ends =
      group.split(first_or_last ? 7 : Communicator::kNoColor, rank, "ends");
  ASSERT_EQ(ends != nullptr, first_or_last);
  if (ends) {
    EXPECT_EQ(ends->size(), std::min(size, 2));
    EXPECT_EQ(ends->rank(), rank == 0 ? 0 : 1);
    const std::vector<std::string> found = ends->gather_bytes(std::to_string(rank));
    EXPECT_EQ(found.back(), std::to_string(size - 1));
  }
  EXPECT_EQ(group.split(Communicator::kNoColor, rank, "nobody"), nullptr);

  // Both groups at once; even ranks wait in the one order, odd ranks in the other.
  Tensor a =
      Tensor::view_of(half->allocate(context, 4096, MemoryCategory::kWorkspace), 0, {1000}, DType::kFloat32);
  Tensor b =
      Tensor::view_of(group.allocate(context, 4096, MemoryCategory::kWorkspace), 0, {1000}, DType::kFloat32);
  for (int64_t i = 0; i < 1000; ++i) a.data<float>()[i] = b.data<float>()[i] = 1.0f;
  auto work_a = half->all_reduce_async(a, ReduceOp::kSum);
  auto work_b = group.all_reduce_async(b, ReduceOp::kSum);
  (rank % 2 == 0 ? work_a : work_b)->wait();
  work_a->wait();
  work_b->wait();
  EXPECT_EQ(a.data<float>()[999], static_cast<float>(expected_size));
  EXPECT_EQ(b.data<float>()[999], static_cast<float>(size));
  group.barrier();
}

}  // namespace trireme::testing
