// A command line as execv(2) takes it.
#pragma once

#include <string>
#include <vector>

namespace fscached::keeper {

// Points into `words`.
inline std::vector<char*> exec_words(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace fscached::keeper
