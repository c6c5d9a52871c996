# Bash completion of trireme: commands, options, files, and the keys of --set.

_trireme_words() { # what `trireme WORDS... --help` lists: names of commands and options
  "${COMP_WORDS[0]}" "$@" --help 2>/dev/null | sed -n 's/^  \(-[^ ]*\|[a-z][a-z-]*\)  *.*/\1/p' | tr ',' '\n'
}

_trireme() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD - 1]}"
  local -a commands=()
  local word
  COMPREPLY=()

  # Words up to the cursor that are commands: at most two.
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ ! "$word" =~ ^[a-z][a-z-]*$ ]] || ((${#commands[@]} == 2)); then
      break
    fi
    commands+=("$word")
  done

  if [[ "$previous" == --set ]]; then
    compopt -o nospace
    mapfile -t COMPREPLY < <(compgen -S = -W "$("${COMP_WORDS[0]}" config keys 2>/dev/null)" -- "$current")
    return
  fi
  if [[ "$current" == -* || ${#commands[@]} == 0 || "${commands[-1]}" == @(config|checkpoint) ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_trireme_words "${commands[@]}")" -- "$current")
    return
  fi
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

complete -F _trireme trireme
