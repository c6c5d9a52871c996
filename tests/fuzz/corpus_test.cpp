// What the fuzzers found worth keeping, through the same functions in the ordinary build.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "tests/fuzz/targets/targets.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

struct Target {
  const char* name;
  void (*run)(std::string_view bytes);
};

void PrintTo(const Target& target, std::ostream* out) {
  *out << target.name;
}

class FuzzCorpus : public ::testing::TestWithParam<Target> {};

TEST_P(FuzzCorpus, IsTakenOrRefusedAsDocumented) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(testing::test_folder() + "/fuzz/corpus/" + GetParam().name))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  ASSERT_GE(files.size(), 10u);
  for (const std::filesystem::path& file : files) {
    SCOPED_TRACE(file);
    const std::string bytes = testing::read_file(file);
    ASSERT_NO_THROW(GetParam().run(bytes));
    // Every file cut short at some places as well.
    for (size_t part = 0; part < 8; ++part)
      ASSERT_NO_THROW(GetParam().run(std::string_view(bytes).substr(0, bytes.size() * part / 8)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, FuzzCorpus,
                         ::testing::Values(Target{"manifest", fuzz::manifest},
                                           Target{"indexed_dataset", fuzz::indexed_dataset},
                                           Target{"safetensors", fuzz::safetensors}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace trireme
