#include "core/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "core/base/error.h"
#include "core/base/strict_json.h"

namespace trireme {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kLargestHeader = 100'000'000;
constexpr size_t kMostDimensions = 8;
constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

[[noreturn]] void damaged(const std::string& where, const std::string& what) {
  throw DataError(fmt::format("{}: not a valid safetensors file: {}", where, what));
}

/// A name or a value from the file, short enough for a message.
std::string quoted(const std::string& text) {
  constexpr size_t kLongest = 80;
  return fmt::format("'{}{}'", printable(text.substr(0, kLongest)), text.size() > kLongest ? "..." : "");
}

DType dtype_of(const std::string& where, const std::string& name, const std::string& text) {
  static constexpr std::pair<const char*, DType> kNames[] = {
      {"F64", DType::kFloat64}, {"F32", DType::kFloat32}, {"BF16", DType::kBFloat16},
      {"F16", DType::kFloat16}, {"I64", DType::kInt64},   {"I32", DType::kInt32},
      {"U16", DType::kUInt16},  {"U8", DType::kUInt8}};
  for (const auto& [known, dtype] : kNames)
    if (text == known) return dtype;
  damaged(where, fmt::format("tensor {} has type {}; known: F64, F32, BF16, F16, I64, I32, U16, U8",
                             quoted(name), quoted(text)));
}

const char* format_name(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return "F64";
    case DType::kFloat32:
      return "F32";
    case DType::kBFloat16:
      return "BF16";
    case DType::kFloat16:
      return "F16";
    case DType::kInt64:
      return "I64";
    case DType::kInt32:
      return "I32";
    case DType::kUInt16:
      return "U16";
    case DType::kUInt8:
      return "U8";
  }
  throw InternalError("unknown dtype");
}

/// Length of the header that the file's first bytes state, within the file and the format's limit.
int64_t header_length(std::string_view bytes, int64_t file_bytes, const std::string& where) {
  if (file_bytes < kLengthBytes || static_cast<int64_t>(bytes.size()) < kLengthBytes)
    damaged(where, fmt::format("it has {} bytes", file_bytes));
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > static_cast<uint64_t>(std::min(kLargestHeader, file_bytes - kLengthBytes)))
    damaged(where, fmt::format("a header of {} bytes in a file of {} bytes (at most {} are read)", length,
                               file_bytes, kLargestHeader));
  return static_cast<int64_t>(length);
}

/// Bytes of a shape; refuses products beyond `limit`.
int64_t checked_bytes(const std::string& where, const std::string& name, const Shape& shape, DType dtype,
                      int64_t limit) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  int64_t bytes = size_of(dtype);
  for (const int64_t extent : shape) {
    if (extent > limit / bytes)
      damaged(where,
              fmt::format("tensor {} of shape {} is larger than the file", quoted(name), to_string(shape)));
    bytes *= extent;
  }
  return bytes;
}

SafetensorsEntry parse_entry(const std::string& where, const std::string& name, const nlohmann::json& value,
                             int64_t data_begin, int64_t file_bytes) {
  const auto array = [&](const char* key) {
    return value.contains(key) && value[key].is_array() && value[key].size() <= kMostDimensions;
  };
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value["dtype"].is_string() ||
      !array("shape") || !array("data_offsets") || value["data_offsets"].size() != 2)
    damaged(where, fmt::format("tensor {}: expected dtype, shape (at most {} sizes) and two data_offsets",
                               quoted(name), kMostDimensions));
  const auto number = [&](const nlohmann::json& item) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > static_cast<uint64_t>(file_bytes))
      damaged(where, fmt::format("tensor {} has a size or an offset outside the file: {}", quoted(name),
                                 item.dump().substr(0, 40)));
    return item.get<int64_t>();
  };
  SafetensorsEntry entry;
  entry.dtype = dtype_of(where, name, value["dtype"].get<std::string>());
  entry.begin = data_begin + number(value["data_offsets"][0]);
  entry.end = data_begin + number(value["data_offsets"][1]);
  for (const auto& extent : value["shape"]) entry.shape.push_back(number(extent));
  const int64_t bytes = checked_bytes(where, name, entry.shape, entry.dtype, file_bytes);
  if (entry.begin > entry.end || entry.end > file_bytes || entry.end - entry.begin != bytes)
    damaged(where, fmt::format("tensor {} of {} bytes lies at [{}, {}) of {} bytes", quoted(name), bytes,
                               entry.begin, entry.end, file_bytes));
  return entry;
}

void check_coverage(const std::string& where, const SafetensorsHeader& header, int64_t data_begin,
                    int64_t file_bytes) {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const auto& [name, entry] : header.entries) ranges.emplace_back(entry.begin, entry.end);
  std::sort(ranges.begin(), ranges.end());
  int64_t covered = data_begin;
  for (const auto& [begin, end] : ranges) {
    if (begin != covered)
      damaged(where, fmt::format("tensors {} at byte {}", begin < covered ? "overlap" : "leave a hole",
                                 std::min(begin, covered)));
    covered = end;
  }
  if (covered != file_bytes)
    damaged(where, fmt::format("{} bytes belong to no tensor", file_bytes - covered));
}

/// A model's folder may hold links (Hugging Face's cache does); what they lead to must be a plain file.
io::File open_model_file(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (error) throw IoError(fmt::format("'{}' cannot be opened: {}", path.string(), error.message()));
  return io::File::open_to_read(real.string());
}

/// The header, and no more.
std::string read_start(const io::File& file, const std::string& where) {
  std::string start(static_cast<size_t>(std::min(kLengthBytes, file.size())), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(start)));
  const int64_t length = header_length(start, file.size(), where);
  start.resize(static_cast<size_t>(kLengthBytes + length));
  file.read_at(0, std::as_writable_bytes(std::span(start)));
  return start;
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view bytes, int64_t file_bytes,
                                           const std::string& where) {
  const int64_t length = header_length(bytes, file_bytes, where);
  const std::string_view text = bytes.substr(kLengthBytes, static_cast<size_t>(length));
  if (static_cast<int64_t>(text.size()) != length || !text.starts_with('{'))
    damaged(where, "its header is not a JSON object");
  const nlohmann::json parsed = parse_strict_json(text, where);
  SafetensorsHeader header;
  for (const auto& [name, value] : parsed.items()) {
    if (name != "__metadata__") {
      header.entries[name] = parse_entry(where, name, value, kLengthBytes + length, file_bytes);
      continue;
    }
    if (!value.is_object()) damaged(where, "__metadata__ is not an object");
    for (const auto& [key, item] : value.items()) {
      if (!item.is_string()) damaged(where, "__metadata__ holds something that is not a string");
      header.metadata[key] = item.get<std::string>();
    }
  }
  check_coverage(where, header, kLengthBytes + length, file_bytes);
  return header;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(open_model_file(path)) {
  header_ = parse_safetensors_header(read_start(file_, path.string()), file_.size(), path.string());
}

Tensor SafetensorsFile::read(Context& context, const std::string& name, MemoryCategory category) const {
  const auto found = header_.entries.find(name);
  if (found == header_.entries.end())
    throw DataError(fmt::format("{}: there is no tensor '{}'", file_.path(), name));
  const Entry& entry = found->second;
  Tensor tensor = Tensor::allocate(context.allocator, entry.shape, entry.dtype, category);
  file_.read_at(entry.begin, {tensor.raw(), static_cast<size_t>(entry.end - entry.begin)});
  return tensor;
}

SafetensorsFolder::SafetensorsFolder(const std::filesystem::path& folder) {
  const auto open = [&](const std::string& name) { files_.emplace(name, SafetensorsFile(folder / name)); };
  const std::filesystem::path index_path = folder / kIndexFile;
  std::map<std::string, std::string> listed;  // tensor -> file
  if (std::filesystem::exists(folder / kSingleFile)) {
    open(kSingleFile);
  } else if (!std::filesystem::exists(index_path)) {
    throw DataError(fmt::format("'{}' has neither {} nor {}; other formats of weights are not read",
                                folder.string(), kSingleFile, kIndexFile));
  } else {
    const std::string where = index_path.string();
    const io::File file = open_model_file(index_path);
    const nlohmann::json index = parse_strict_json(io::read_file(file.path(), kLargestHeader), where);
    if (!index.contains("weight_map") || !index["weight_map"].is_object())
      throw DataError(fmt::format("{}: expected an object 'weight_map' from tensors to files", where));
    for (const auto& [name, value] : index["weight_map"].items()) {
      if (!value.is_string() || !io::is_plain_name(value.get<std::string>()))
        throw DataError(fmt::format("{}: tensor {}: expected the name of a file without folders, given {}",
                                    where, quoted(name), quoted(value.dump())));
      listed[name] = value.get<std::string>();
      if (!files_.contains(listed[name])) open(listed[name]);
    }
    for (const auto& [name, in] : listed)
      if (!files_.at(in).entries().contains(name))
        throw DataError(fmt::format("{}: tensor {} is not in {}", where, quoted(name), in));
  }
  for (const auto& [file_name, file] : files_)
    for (const auto& [name, entry] : file.entries()) {
      if (!entries_.emplace(name, entry).second || (!listed.empty() && listed[name] != file_name))
        throw DataError(
            fmt::format("{}: tensor {} is not the index's", (folder / file_name).string(), quoted(name)));
      file_of_[name] = file_name;
    }
}

Tensor SafetensorsFolder::read(Context& context, const std::string& name, MemoryCategory category) const {
  const auto found = file_of_.find(name);
  if (found == file_of_.end()) throw DataError(fmt::format("there is no tensor '{}'", name));
  return files_.at(found->second).read(context, name, category);
}

SafetensorsWriter::SafetensorsWriter(std::string folder, std::vector<SafetensorsTensor> tensors,
                                     int64_t max_file_bytes)
    : folder_(std::move(folder)), tensors_(std::move(tensors)) {
  int64_t bytes = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const int64_t more = num_elements(tensors_[i].shape) * size_of(tensors_[i].dtype);
    if (i == 0 || bytes + more > max_file_bytes) {
      first_of_file_.push_back(i);
      bytes = 0;
    }
    bytes += more;
  }
  first_of_file_.push_back(tensors_.size());
}

std::string SafetensorsWriter::file_name(size_t file) const {
  const size_t num_files = first_of_file_.size() - 1;
  return num_files == 1 ? kSingleFile : fmt::format("model-{:05}-of-{:05}.safetensors", file + 1, num_files);
}

void SafetensorsWriter::open_file() {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};  // Transformers 4 asks for it
  int64_t offset = 0;
  for (size_t i = first_of_file_[num_opened_]; i < first_of_file_[num_opened_ + 1]; ++i) {
    const SafetensorsTensor& tensor = tensors_[i];
    const int64_t end = offset + num_elements(tensor.shape) * size_of(tensor.dtype);
    header[tensor.name] = {
        {"dtype", format_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  text.insert(0, reinterpret_cast<const char*>(&length), kLengthBytes);
  file_ = io::File::create(folder_ + "/" + file_name(num_opened_++));
  file_->reserve(static_cast<int64_t>(text.size()) + offset);
  file_->write_at(0, std::as_bytes(std::span(text)));
  position_ = static_cast<int64_t>(text.size());
}

void SafetensorsWriter::close_file() {
  if (!file_) return;
  file_->sync();
  file_->close();
  file_.reset();
}

void SafetensorsWriter::write(const Tensor& tensor) {
  const SafetensorsTensor& planned = tensors_.at(next_);
  if (tensor.shape() != planned.shape || tensor.dtype() != planned.dtype || !tensor.is_contiguous())
    throw InternalError("a tensor that is not what was planned for " + planned.name);
  if (next_ == first_of_file_[num_opened_]) {
    close_file();
    open_file();
  }
  file_->write_at(position_, {tensor.raw(), static_cast<size_t>(tensor.num_bytes())});
  position_ += tensor.num_bytes();
  ++next_;
}

void SafetensorsWriter::finish() {
  if (next_ != tensors_.size()) throw InternalError("not every tensor was written");
  close_file();
  if (first_of_file_.size() == 2) return;
  nlohmann::ordered_json names = nlohmann::ordered_json::object();
  int64_t bytes = 0;
  for (size_t i = 0, file = 0; i < tensors_.size(); ++i) {
    if (i == first_of_file_[file + 1]) ++file;
    names[tensors_[i].name] = file_name(file);
    bytes += num_elements(tensors_[i].shape) * size_of(tensors_[i].dtype);
  }
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", bytes}}},
                                        {"weight_map", std::move(names)}};
  io::write_new_file(folder_ + "/" + kIndexFile, index.dump(2) + "\n");
}

}  // namespace trireme
