#include "core/data/labels_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;

TEST(LabelsFile, GivesBackWhatWasWritten) {
  const testing::TemporaryFolder folder;
  const std::string path = labels_path((folder.path() / "x").string());
  EXPECT_TRUE(path.ends_with("/x.labels"));
  write_labels(path, {{"negative", "größer \"1\""}, {1, 0, 0, 1}});
  const Labels read = read_labels(path);
  EXPECT_EQ(read.classes, (std::vector<std::string>{"negative", "größer \"1\""}));
  EXPECT_EQ(read.labels, (std::vector<int32_t>{1, 0, 0, 1}));
}

TEST(LabelsFile, RefusesDamagedFilesNamingThem) {
  const std::string head = R"({"type": "trireme-labels", "version": 1, )";
  const std::vector<std::pair<std::string, const char*>> table = {
      {head + R"("classes": ["a"], "labels": []})", "accepted"},
      {"", "not valid JSON"},
      {std::string("\0\xff", 2), "not valid JSON"},
      {"[1]", "not a JSON object"},
      {"{}", "is no labels file"},
      {R"({"type": "trireme-character"})", "is no labels file"},
      {R"({"type": "trireme-labels", "version": 2})", "version 2 is not known"},
      {head + R"("classes": ["a"]})", "has no key 'labels'"},
      {head + R"("classes": "a", "labels": []})", "'classes' is string, expected array"},
      {head + R"("classes": [], "labels": []})", "has no classes"},
      {head + R"("classes": ["a", 1], "labels": []})", "class 1 is no text"},
      {head + R"("classes": ["a", "a"], "labels": []})", "has the class 'a' twice"},
      {head + R"("classes": ["a", "b"], "labels": [0, 1, 2]})", "label 2 is 2, expected 0 to 1"},
      {head + R"("classes": ["a", "b"], "labels": [-1]})", "label 0 is -1, expected 0 to 1"},
      {head + R"("classes": ["a", "b"], "labels": [0.5]})", "label 0 is 0.5, expected 0 to 1"},
      {head + R"("classes": ["a", "b"], "labels": ["a"]})", "label 0 is string, expected 0 to 1"},
      {head + R"("classes": ["a", "b"], "labels": [18446744073709551615]})", "expected 0 to 1"},
  };
  const testing::TemporaryFolder folder;
  for (const auto& [content, expected] : table) {
    const auto path = folder.write("x.labels", content);
    std::string message = "accepted";
    try {
      read_labels(path.string());
    } catch (const DataError& error) {
      message = error.what();
      EXPECT_THAT(message, HasSubstr("x.labels"));
    }
    EXPECT_THAT(message, HasSubstr(expected));
  }
  EXPECT_THROW(read_labels((folder.path() / "missing").string()), DataError);
}

}  // namespace
}  // namespace trireme
