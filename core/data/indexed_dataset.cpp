#include "core/data/indexed_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/data/indexed_format.h"

namespace trireme {
namespace {

template <class T>
T read_at(const MappedFile& file, int64_t offset) {
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

template <class T>
void widen(const std::byte* source, std::span<int32_t> out, int64_t vocab_size, int64_t& bad) {
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, source + i * sizeof(T), sizeof(T));
    const auto token = static_cast<int64_t>(value);
    if (token < 0 || token >= vocab_size) {
      bad = static_cast<int64_t>(i);
      return;
    }
    out[i] = static_cast<int32_t>(token);
  }
}

template <class Call>
void with_type(TokenDType dtype, Call&& call) {
  switch (dtype) {
    case TokenDType::kUInt8:
      return call(uint8_t{});
    case TokenDType::kInt8:
      return call(int8_t{});
    case TokenDType::kInt16:
      return call(int16_t{});
    case TokenDType::kInt32:
      return call(int32_t{});
    case TokenDType::kInt64:
      return call(int64_t{});
    case TokenDType::kUInt16:
      return call(uint16_t{});
  }
}

}  // namespace

std::string bin_path(const std::string& prefix) {
  return prefix + ".bin";
}
std::string idx_path(const std::string& prefix) {
  return prefix + ".idx";
}
std::string source_prefix(const std::string& prefix) {
  return prefix + ".source";
}
std::string target_prefix(const std::string& prefix) {
  return prefix + ".target";
}

IndexedDataset::IndexedDataset(const std::string& prefix)
    : prefix_(prefix), index_(idx_path(prefix)), tokens_(bin_path(prefix)) {
  const auto fail = [&](const std::string& what) { throw DataError(index_.path() + ": " + what); };
  if (index_.size() < kIndexHeaderSize)
    fail(fmt::format("{} bytes are too few for a Megatron-LM index", index_.size()));
  if (std::memcmp(index_.data(), kIndexMagic, sizeof(kIndexMagic)) != 0)
    fail("does not begin with MMIDIDX; expected an index written by Megatron-LM or `trireme prepare`");
  if (const auto version = read_at<uint64_t>(index_, 9); version != kIndexVersion)
    fail(fmt::format("version {} is not known, expected {}", version, kIndexVersion));
  const auto code = read_at<uint8_t>(index_, 17);
  dtype_ = static_cast<TokenDType>(code);
  if (size_of(dtype_) == 0) fail(fmt::format("dtype code {} is no type for tokens", code));

  const auto sequences = read_at<uint64_t>(index_, 18);
  const auto bounds = read_at<uint64_t>(index_, 26);
  const auto room = static_cast<uint64_t>(index_.size() - kIndexHeaderSize);
  if (sequences > room / 12 || bounds > room / 8 || sequences * 12 + bounds * 8 != room)
    fail(
        fmt::format("has {} bytes; {} sequences and {} document bounds need {} and 12 and 8 bytes each "
                    "(truncated, or with modes of multimodal data, which are not supported)",
                    index_.size(), sequences, bounds, kIndexHeaderSize));
  num_sequences_ = static_cast<int64_t>(sequences);
  num_bounds_ = static_cast<int64_t>(bounds);
  validate();
}

int64_t IndexedDataset::read_size(int64_t sequence) const {
  return read_at<int32_t>(index_, kIndexHeaderSize + 4 * sequence);
}
int64_t IndexedDataset::read_pointer(int64_t sequence) const {
  return read_at<int64_t>(index_, kIndexHeaderSize + 4 * num_sequences_ + 8 * sequence);
}
int64_t IndexedDataset::read_bound(int64_t index) const {
  return read_at<int64_t>(index_, kIndexHeaderSize + 12 * num_sequences_ + 8 * index);
}

void IndexedDataset::validate() const {
  const auto fail = [&](const std::string& what) { throw DataError(index_.path() + ": " + what); };
  int64_t expected = 0;
  for (int64_t i = 0; i < num_sequences_; ++i) {
    const int64_t size = read_size(i);
    if (size < 0) fail(fmt::format("sequence {} has the size {}", i, size));
    if (read_pointer(i) != expected)
      fail(fmt::format("sequence {} begins at byte {} of the .bin file, expected {} (behind the one before)",
                       i, read_pointer(i), expected));
    expected += size * size_of(dtype_);
    if (expected > tokens_.size())
      fail(fmt::format("sequence {} ends at byte {}, but {} has {} bytes", i, expected, tokens_.path(),
                       tokens_.size()));
  }
  if (expected != tokens_.size())
    throw DataError(fmt::format("{}: has {} bytes, but the index describes {}", tokens_.path(),
                                tokens_.size(), expected));
  if (num_bounds_ == 0 || read_bound(0) != 0) fail("the document bounds do not begin with 0");
  for (int64_t i = 1; i < num_bounds_; ++i)
    if (read_bound(i) < read_bound(i - 1))
      fail(fmt::format("document bound {} is {}, less than {} before it", i, read_bound(i),
                       read_bound(i - 1)));
  if (read_bound(num_bounds_ - 1) != num_sequences_)
    fail(fmt::format("the last document bound is {}, expected the number of sequences, {}",
                     read_bound(num_bounds_ - 1), num_sequences_));
}

int64_t IndexedDataset::num_tokens() const {
  return tokens_.size() / size_of(dtype_);
}

void IndexedDataset::copy_tokens(int64_t begin, std::span<int32_t> out, int64_t vocab_size) const {
  TRIREME_ASSERT(begin >= 0 && begin + static_cast<int64_t>(out.size()) <= num_tokens(),
                 fmt::format("tokens {} + {} of {}", begin, out.size(), num_tokens()));
  const std::byte* source = tokens_.data() + begin * size_of(dtype_);
  int64_t bad = -1;
  with_type(dtype_, [&](auto type) { widen<decltype(type)>(source, out, vocab_size, bad); });
  if (bad >= 0) {
    int64_t value = 0;
    with_type(dtype_, [&](auto type) {
      value = static_cast<int64_t>(read_at<decltype(type)>(tokens_, (begin + bad) * size_of(dtype_)));
    });
    throw DataError(
        fmt::format("{}: token {} is {}, outside the vocabulary of {}; was it prepared with another "
                    "tokenizer?",
                    tokens_.path(), begin + bad, value, vocab_size));
  }
}

int64_t IndexedDataset::first_sequence(int64_t document) const {
  return read_bound(document);
}

int64_t IndexedDataset::sequence_begin(int64_t sequence) const {
  return sequence == num_sequences_ ? num_tokens() : read_pointer(sequence) / size_of(dtype_);
}

int64_t IndexedDataset::document_begin(int64_t document) const {
  return sequence_begin(first_sequence(document));
}

int64_t IndexedDataset::document_of(int64_t position) const {
  // The last document that begins at or before the position; empty ones before it begin there too.
  int64_t low = 0, high = num_documents();
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (document_begin(middle) <= position ? low : high) = middle;
  }
  return low;
}

std::string IndexedDataset::fingerprint() const {
  constexpr int64_t kBlocks = 64, kBlockSize = 4096;
  std::string content = fmt::format("dtype {} sequences {} documents {} bytes {}\n", static_cast<int>(dtype_),
                                    num_sequences_, num_documents(), tokens_.size());
  for (const MappedFile* file : {&index_, &tokens_}) {
    const int64_t last = std::max<int64_t>(0, file->size() - kBlockSize);
    const int64_t blocks = last == 0 ? 1 : kBlocks;
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = blocks == 1 ? 0 : last / (blocks - 1) * block;
      content.append(reinterpret_cast<const char*>(file->data()) + begin,
                     static_cast<size_t>(std::min(kBlockSize, file->size() - begin)));
    }
  }
  return xxh3_128_hex(content);
}

}  // namespace trireme
