#include "core/data/line_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <vector>

#include "core/base/error.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void write_gzip(const std::string& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
}

std::vector<std::string> lines_of(const std::string& path) {
  LineReader reader(path);
  std::vector<std::string> lines;
  for (std::string line; reader.next(line);) lines.push_back(line);
  return lines;
}

std::string error_of(const std::string& path) {
  try {
    lines_of(path);
  } catch (const DataError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(LineReader, ReadsPlainAndPackedLinesAlike) {
  const testing::TemporaryFolder folder;
  const std::string text("one\r\n\ntwo\0 \xFF\nlast", 17), packed = (folder.path() / "x.gz").string();
  write_gzip(packed, text);
  for (const std::string& path : {folder.write("x.txt", text).string(), packed}) {
    EXPECT_THAT(lines_of(path), ElementsAre("one", "", std::string("two\0 \xFF", 6), "last"));
    EXPECT_EQ(read_text(path), text);
    LineReader reader(path);
    std::string line;
    ASSERT_TRUE(reader.next(line) && reader.next(line));
    EXPECT_EQ(reader.place(), path + ":2");
    EXPECT_EQ(reader.rest(), text.substr(6));
  }
  EXPECT_THAT(lines_of(folder.write("empty.txt", "").string()), ElementsAre());
  EXPECT_THAT(lines_of(folder.write("end.txt", "a\n").string()), ElementsAre("a"));
}

TEST(LineReader, ReadsLinesLongerThanItsBuffer) {
  const testing::TemporaryFolder folder;
  const std::string text(1 << 20, 'x'), path = (folder.path() / "x.gz").string();
  write_gzip(path, text + "\n" + text);
  EXPECT_THAT(lines_of(path), ElementsAre(text, text));
}

TEST(LineReader, SaysWhatIsWrongWithAFile) {
  const testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "x.gz").string();
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i * 7919 % 100003) + "\n";
  write_gzip(path, text);
  const std::string good = testing::read_file(path);
  EXPECT_EQ(error_of(path), "accepted");
  folder.write("x.gz", good.substr(0, good.size() / 2));
  EXPECT_THAT(error_of(path), HasSubstr("x.gz: cannot be unpacked: "));
  std::string damaged = good;
  for (size_t i = good.size() / 2; i < good.size() / 2 + 40; ++i) damaged[i] = static_cast<char>(~damaged[i]);
  folder.write("x.gz", damaged);
  EXPECT_THAT(error_of(path), HasSubstr("x.gz: cannot be unpacked: "));
  EXPECT_THAT(error_of((folder.path() / "missing").string()),
              HasSubstr("missing: cannot be opened: No such file"));
}

}  // namespace
}  // namespace trireme
