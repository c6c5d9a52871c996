#include "parallel/checkpoint/manifest.h"

#include <algorithm>

#include "core/io/digest.h"
#include "core/io/file.h"
#include "parallel/checkpoint/manifest_tail.h"
#include "tests/fuzz/targets/require.h"
#include "tests/fuzz/targets/targets.h"

namespace trireme::fuzz {
namespace {

using namespace checkpoint;

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

/// What restore relies on without looking again.
void check_taken(const Manifest& manifest) {
  FUZZ_REQUIRE(manifest.format_version == kFormatVersion);
  for (const auto& [name, file] : manifest.files) FUZZ_REQUIRE(io::is_plain_name(name) && file.size >= 0);
  for (const SavedTensor& tensor : manifest.tensors) {
    int64_t covered = 0;
    for (const SavedBox& saved : tensor.boxes) {
      const auto file = manifest.files.find(saved.file);
      FUZZ_REQUIRE(file != manifest.files.end());
      FUZZ_REQUIRE(saved.file_offset >= 0 && saved.num_bytes > 0);
      FUZZ_REQUIRE(saved.file_offset + saved.num_bytes <= file->second.size);
      FUZZ_REQUIRE(saved.box.extent.size() == tensor.shape.size());
      for (size_t dim = 0; dim < tensor.shape.size(); ++dim)
        FUZZ_REQUIRE(saved.box.offset[dim] >= 0 && saved.box.extent[dim] > 0 &&
                     saved.box.offset[dim] + saved.box.extent[dim] <= tensor.shape[dim]);
      FUZZ_REQUIRE(saved.num_bytes == saved.box.num_elements() * size_of(tensor.dtype));
      const auto blocks = static_cast<int64_t>(saved.digests.size());
      FUZZ_REQUIRE((blocks - 1) * manifest.block_bytes < saved.num_bytes &&
                   saved.num_bytes <= blocks * manifest.block_bytes);
      covered += saved.box.num_elements();
    }
    FUZZ_REQUIRE(covered == (tensor.tied_to.empty() ? num_elements(tensor.shape) : 0));
  }
}

void parse(const std::string& text) {
  Manifest taken;
  try {
    taken = parse_manifest(text, "fuzz");
  } catch (const CheckpointError& error) {
    FUZZ_REQUIRE(is_printable(error.what()));
    return;
  }
  check_taken(taken);
  const std::string again = to_json(taken);
  FUZZ_REQUIRE(to_json(parse_manifest(again, "again")) == again);
}

}  // namespace

void manifest(std::string_view bytes) {
  parse(std::string(bytes));
  const std::string body = std::string(bytes) + kBeforeDigest;
  parse(body + digest_tail(io::digest_of(body)));
}

}  // namespace trireme::fuzz
