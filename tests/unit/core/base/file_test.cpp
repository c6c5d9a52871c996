#include "core/base/file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/error.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

TEST(BaseFile, ReplacingLeavesOneWholeFile) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "file";
  replace_file(path, "one");
  replace_file(path, "another");
  EXPECT_EQ(read_file(path), "another");
  const std::filesystem::directory_iterator entries(folder.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(BaseFile, AFailedReplacementLeavesTheOldFileAndNothingElse) {
  const testing::TemporaryFolder folder;
  const std::filesystem::path occupied = folder.path() / "occupied";
  std::filesystem::create_directory(occupied);
  const auto refusal = [](const std::string& path) {
    try {
      replace_file(path, "x");
    } catch (const IoError& error) {
      EXPECT_EQ(error.exit_code(), ExitCode::kCannotCreate);
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  EXPECT_EQ(refusal(occupied), occupied.string() + ": renaming into place failed: Is a directory");
  const std::filesystem::directory_iterator entries(folder.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
  EXPECT_EQ(refusal("/nowhere/file").find("/nowhere/file"), 0u);
}

}  // namespace
}  // namespace trireme
