#include "core/io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/io/digest.h"
#include "core/io/directory.h"
#include "core/io/directory_lock.h"
#include "tests/support/run_program.h"

namespace trireme::io {
namespace {

using ::testing::HasSubstr;

template <class Call>
IoError error_of(Call&& call) {
  try {
    call();
  } catch (const IoError& error) {
    return error;
  }
  return IoError("nothing was thrown", ExitCode::kOk);
}

TEST(IoFile, ReadsBackWhatItWrote) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "a";
  write_new_file(path, "some bytes");
  EXPECT_EQ(read_file(path, 100), "some bytes");
  EXPECT_EQ(list_directory(folder.path()), std::vector<std::string>{"a"});
}

TEST(IoFile, ErrorsNameFileAndCause) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "a";
  EXPECT_THAT(error_of([&] { read_file(path, 1); }).what(),
              HasSubstr("cannot open '" + path + "': No such file or directory (errno 2)"));
  write_new_file(path, "0123456789");
  EXPECT_THAT(error_of([&] { write_new_file(path, ""); }).what(), HasSubstr("File exists"));
  EXPECT_THAT(error_of([&] { read_file(path, 9); }).what(), HasSubstr("has 10 bytes; at most 9"));
  std::byte bytes[8];
  EXPECT_THAT(error_of([&] { File::open_to_read(path).read_at(5, bytes); }).what(), HasSubstr("ends at 10"));
}

TEST(IoFile, RefusesLinksPipesAndFolders) {
  const testing::TemporaryFolder folder;
  const std::string file = folder.path() / "file", link = folder.path() / "link",
                    pipe = folder.path() / "pipe";
  write_new_file(file, "x");
  std::filesystem::create_symlink(file, link);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {link, pipe, folder.path().string()})
    EXPECT_THROW(read_file(path, 10), IoError) << path;
}

TEST(IoDirectory, RenameNeverReplaces) {
  const testing::TemporaryFolder folder;
  const std::string from = folder.path() / "from", to = folder.path() / "to";
  make_directory(from);
  make_directory(to);  // empty: a plain rename would replace it
  EXPECT_THAT(error_of([&] { rename_to_new(from, to); }).what(), HasSubstr("File exists"));
  remove_directory(to);
  rename_to_new(from, to);
  EXPECT_EQ(list_directory(folder.path()), std::vector<std::string>{"to"});
}

TEST(IoDirectory, TemporaryOnesVanishUnlessCommitted) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / ".tmp-a", final_path = folder.path() / "a";
  {
    TemporaryDirectory directory(path);
    write_new_file(path + "/file", "x");
  }
  EXPECT_TRUE(list_directory(folder.path()).empty());
  {
    TemporaryDirectory directory(path);
    write_new_file(path + "/file", "x");
    directory.commit(final_path);
  }
  EXPECT_EQ(read_file(final_path + "/file", 1), "x");
}

TEST(IoDirectoryLock, ASecondHolderIsRefusedWithTheNameOfTheFirst) {
  const testing::TemporaryFolder folder;
  {
    const DirectoryLock first(folder.path(), "run first host a pid 7");
    const IoError error = error_of([&] { DirectoryLock(folder.path(), "run second"); });
    EXPECT_EQ(error.exit_code(), ExitCode::kCannotCreate);
    EXPECT_THAT(error.what(), HasSubstr("in use by another job (run first host a pid 7)"));
  }
  DirectoryLock(folder.path(), "run third");
}

TEST(IoDigest, AgreesWithTheReferenceValues) {
  EXPECT_EQ(digest_of(std::string()),
            "99aa06d3014798d86001c324468d497f");  // XXH3-128 of nothing, its authors'
  const std::string text = "twelve bytes";
  Digest digest;
  digest.update(std::as_bytes(std::span(text.data(), 5)));
  digest.update(std::as_bytes(std::span(text.data() + 5, 7)));
  EXPECT_EQ(digest.hex(), digest_of(text));
}

}  // namespace
}  // namespace trireme::io
