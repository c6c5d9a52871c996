#include "parallel/checkpoint/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/io/digest.h"

namespace trireme::checkpoint {
namespace {

using ::testing::HasSubstr;

const std::string kDigest(32, 'a');

Manifest example() {
  Manifest manifest;
  manifest.writer = "trireme test";
  manifest.libraries = {{"hdf5", "1.10.8"}};
  manifest.num_ranks = 2;
  manifest.state.step = 7;
  manifest.state.run_id = "r";
  manifest.state.precision = "fp32";
  manifest.state.architecture_json = R"({"b":2,"a":[1,2.5]})";
  manifest.architecture_hash = io::digest_of(canonical_json(manifest.state.architecture_json));
  manifest.files = {{"shard.h5", {4096, kDigest}}, {"index.h5", {10, kDigest}}};
  manifest.tensors = {
      {"model",
       "w",
       DType::kFloat32,
       {4, 2},
       "decay",
       "",
       {{{{0, 0}, {3, 2}}, "shard.h5", 0, 24, {kDigest}}, {{{3, 0}, {1, 2}}, "shard.h5", 24, 8, {kDigest}}}},
      {"model", "head", DType::kFloat32, {4, 2}, "decay", "w", {}}};
  return manifest;
}

/// The text with one replacement and a digest that fits again.
std::string forged(const std::string& from, const std::string& to) {
  std::string text = to_json(example());
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << "\n" << text;
  text.replace(at, from.size(), to);
  text.resize(text.rfind("\"", text.rfind("\"") - 1));
  return text + "\"" + io::digest_of(text) + "\"\n}\n";
}

bool is_printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::string error_of(const std::string& text) {
  try {
    parse_manifest(text, "there/manifest.json");
  } catch (const CheckpointError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kBadData);
    return error.what();
  }
  return "accepted";
}

TEST(Manifest, SurvivesARoundTrip) {
  const Manifest manifest = example();
  const std::string text = to_json(manifest);
  const Manifest read = parse_manifest(text, "here");
  EXPECT_EQ(to_json(read), text);
  EXPECT_EQ(read.state.architecture_json, R"({"a":[1,2.5],"b":2})");
  EXPECT_EQ(read.tensors[0].boxes[1].box, (Box{{3, 0}, {1, 2}}));
  EXPECT_EQ(read.tensors[1].tied_to, "w");
  EXPECT_EQ(forged("\"r\"", "\"s\"").size(), text.size());
}

TEST(Manifest, EveryFlippedBitIsFound) {
  const std::string text = to_json(example());
  for (size_t i = 0; i < text.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const std::string error = error_of(flipped);
      EXPECT_THAT(error, HasSubstr("is damaged")) << "byte " << i << " bit " << bit;
      EXPECT_TRUE(is_printable(error)) << "byte " << i << " bit " << bit << " " << error;
    }
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_THAT(error_of(text.substr(0, length)), HasSubstr("is damaged")) << length;
}

TEST(Manifest, WhatAFileSaysIsPrintedWithoutControlCharacters) {
  const std::string escape = "\x1b[2J";
  for (const char* from : {"\"shard.h5\": {", "\"writer\": ", "\"head\"", "\"hdf5\""})
    for (const std::string& bad :
         {std::string("\\u001b[2J"), std::string("\\u009b"), escape, std::string("\xff")}) {
      std::string to = from;
      to.insert(to.find('"') + 1, bad);
      const std::string error = error_of(forged(from, to));
      EXPECT_NE(error, "accepted") << from << bad;
      EXPECT_TRUE(is_printable(error)) << error;
    }
}

struct BadCase {
  const char* from;
  const char* to;
  const char* message;
};

TEST(Manifest, RefusesWhatIsWrongThoughItsDigestFits) {
  const BadCase cases[] = {
      {"\"format_version\": 1", "\"format_version\": 2", "has format 2; this program reads up to 1"},
      {"\"format_version\": 1", "\"format_version\": \"1\"", "format_version: expected an integer"},
      {"\"trireme-checkpoint\"", "\"other\"", "root.format: expected trireme-checkpoint"},
      {"\"step\": 7", "\"step\": 7, \"step\": 8", "has the key \"step\" twice"},
      {"\"step\": 7", "\"step\": -7", "root.step: expected an integer from 0"},
      {"\"step\": 7", "\"step\": 7.5", "root.step: expected an integer"},
      {"\"step\": 7", "\"step\": 18446744073709551615", "root.step: expected an integer from 0"},
      {"\"step\": 7", "\"pets\": 7", "root: 'step' is missing"},
      {"\"step\": 7", "\"step\": 7,,", "is not valid JSON"},
      {"\"mesh\": {}", "\"mesh\": []", "root.mesh: expected an object"},
      {"\"b\": 2", "\"b\": 3", "architecture_hash"},
      {"\"block_bytes\": 16777216", "\"block_bytes\": 16777217", "block_bytes: expected an integer from 1"},
      {"\"block_bytes\": 16777216", "\"block_bytes\": 0", "block_bytes: expected an integer from 1"},
      {"\"file\": \"shard.h5\"", "\"file\": \"../shard.h5\"", "without folders"},
      {"\"file\": \"shard.h5\"", "\"file\": \"/etc/passwd\"", "without folders"},
      {"\"file\": \"shard.h5\"", "\"file\": \"other.h5\"", "a file that is listed"},
      {"\"shard.h5\": {", "\"a/shard.h5\": {", "without folders as its key"},
      {"\"size\": 4096", "\"size\": 20", "a range inside 20 bytes"},
      {"\"size\": 4096", "\"size\": -1", "size: expected an integer"},
      {"\"file_offset\": 24", "\"file_offset\": 23", "two boxes share byte 23"},
      {"\"file_offset\": 24", "\"file_offset\": 9223372036854775807", "file_offset: expected an integer"},
      {"\"nbytes\": 24", "\"nbytes\": 23", "nbytes: expected 6 x 4 bytes"},
      {"\"dtype\": \"float32\"", "\"dtype\": \"float99\"", "unknown type"},
      {"\"dtype\": \"float32\"", "\"dtype\": \"float64\"", "nbytes: expected"},
      {"\"tied_to\": \"w\"", "\"tied_to\": \"x\"", "tied to x, which is not there"},
      {"\"tied_to\": \"w\"", "\"tied_to\": null", "cover 0 of 8"},
      {"\"name\": \"head\"", "\"name\": \"w\"", "lists model w twice"},
  };
  for (const BadCase& bad : cases)
    EXPECT_THAT(error_of(forged(bad.from, bad.to)), HasSubstr(bad.message)) << bad.to;
}

TEST(Manifest, RefusesAbsurdShapesBeforeTakingMemory) {
  Manifest manifest = example();
  manifest.tensors.resize(1);
  manifest.tensors[0].shape = {int64_t{1} << 47, int64_t{1} << 47};
  EXPECT_THAT(error_of(to_json(manifest)), HasSubstr("a size that a file can hold"));
  manifest = example();
  manifest.tensors[0].boxes[0].digests.clear();
  EXPECT_THAT(error_of(to_json(manifest)), HasSubstr("expected 1 digests"));
  manifest = example();
  manifest.tensors[0].boxes[1].box.offset = {2, 0};
  EXPECT_THAT(error_of(to_json(manifest)), HasSubstr("overlap"));
}

TEST(Manifest, RefusesDeepNesting) {
  std::string deep = R"({"a":)" + std::string(100000, '[') + std::string(100000, ']') + "}";
  EXPECT_THAT(error_of(forged("\"mesh\": {}", "\"mesh\": " + deep)), HasSubstr("nests deeper"));
}

}  // namespace
}  // namespace trireme::checkpoint
