"""Scripts for bash, zsh and fish that complete given programs; see `completing`."""

import re
import shlex


def bash(programs, models):
    """A script for bash 3.2 and later.

    Args:
        programs: list of `completing.Program`.
        models: list of str, names of models.
    """
    lines = [f"_tatl_models={shlex.quote(' '.join(models))}", "", "_tatl_flags() {", "  case $1 in"]
    for program in programs:
        names = " ".join(f"--{f.name}" + ("" if f.values is None else "=") for f in program.flags)
        lines.append(f"    {program.name}) REPLY='{names}' ;;")
    lines += ["    *) REPLY= ;;", "  esac", "}", "", "_tatl_values() {", "  case $1 in"]
    for program in programs:
        of_flags = {f"--{f.name}": f.values for f in program.flags if f.values}
        of_words = {word: values for word, values in program.words.items() if values}
        for name, values in (of_flags | of_words).items():
            lines.append(f"    '{program.name} {name}') REPLY={_bash_values(values)} ;;")
    lines += ["    *) REPLY= ;;", "  esac", "}", "", "_tatl_words() {", "  case $1 in"]
    for program in programs:
        if program.words:
            lines.append(f"    {program.name}) REPLY='{' '.join(program.words)}' ;;")
    lines += ["    *) REPLY= ;;", "  esac", "}", "", _BASH]
    lines.append(f"complete -F _tatl {' '.join(program.name for program in programs)}")
    return "\n".join(lines) + "\n"


def zsh(programs, models):
    """A script for zsh, which shows what the flags mean. Arguments as of `bash`."""
    lines = [
        "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }",
        f"_tatl_models=({' '.join(map(shlex.quote, models))})",
    ]
    for program in programs:
        lines += ["", f"_{program.name}() {{", "  _arguments \\"]
        for flag in program.flags:
            text = _zsh_text(flag.meaning)
            if flag.values is None:
                lines.append(f"    {shlex.quote(f'--{flag.name}[{text}]')} \\")
            else:
                action = _zsh_action(flag.values)
                lines.append(f"    {shlex.quote(f'--{flag.name}=[{text}]:value:{action}')} \\")
        lines += [*_zsh_words(program), "}", f"compdef _{program.name} {program.name}"]
    return "\n".join(lines) + "\n"


def fish(programs, models):
    """A script for fish, which shows what the flags mean. Arguments as of `bash`."""
    lines = [f"set -g _tatl_models {' '.join(map(shlex.quote, models))}"]
    for program in programs:
        start = f"complete -c {program.name}"
        lines.append("")
        for flag in program.flags:
            option = f"{start} -l {flag.name} -d {_fish_text(flag.meaning)}"
            lines.append(f"{option}{_fish_values(flag.values)}")
        if program.words:
            words = " ".join(program.words)
            lines.append(f"{start} -n __fish_use_subcommand -f -a '{words}'")
        for word, values in program.words.items():
            seen = f"{start} -n '__fish_seen_subcommand_from {word}' -f"
            lines.append(f"{seen} -a '{_fish_list(values)}'" if values else seen)
    return "\n".join(lines) + "\n"


def _bash_values(values):
    if values == "model":
        return "$_tatl_models"
    return "@path" if values == "path" else shlex.quote(" ".join(values))


def _zsh_action(values):
    if values in ("model", "path"):
        return "($_tatl_models)" if values == "model" else "_files"
    return f"({' '.join(values)})" if values else " "


def _zsh_words(program):
    """The arguments that are not flags; the last line of the function."""
    if not program.words:
        return ["    '*:file:_files'"]
    lines = [f"    '1:word:({' '.join(program.words)})' '2:name:->name'", "  case $words[2] in"]
    for word, values in program.words.items():
        if values:
            lines.append(f"    {word}) [[ $state == name ]] && compadd {_zsh_list(values)} ;;")
    return [*lines, "  esac"]


def _zsh_list(values):
    return "$_tatl_models" if values == "model" else " ".join(values)


def _zsh_text(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def _fish_text(text):
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"


def _fish_values(values):
    if values is None:
        return " -f"
    if values == "path":
        return " -r -F"
    return f" -x -a '{_fish_list(values)}'" if values else " -x"


def _fish_list(values):
    return "$_tatl_models" if values == "model" else " ".join(values)


# `--flag=value` is one word to the programs, but three to bash where = breaks words.
_BASH = r"""_tatl() {
  local program=${1##*/} line=${COMP_LINE:0:COMP_POINT} word before start name
  local previous=${COMP_WORDS[COMP_CWORD-1]}
  word=${line##*[[:space:]]}
  before= start=$word
  COMPREPLY=()
  if [[ $word == --*=* ]]; then
    name=${word%%=*} start=${word#*=}
    [[ $COMP_WORDBREAKS == *=* ]] || before=$name=
    _tatl_values "$program $name"
  elif [[ $word == -* ]]; then
    _tatl_flags "$program"
  elif [[ $previous == --* && $previous != *=* ]] && _tatl_takes "$program" "$previous"; then
    _tatl_values "$program $previous"
  else
    _tatl_words "$program"
    if [[ -z $REPLY ]]; then
      REPLY=@path
    elif _tatl_first "$program"; then
      _tatl_values "$program $name"
    fi
  fi
  if [[ $REPLY == @path ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r name; do COMPREPLY+=("$before$name"); done < <(compgen -f -- "$start")
  else
    while IFS= read -r name; do
      COMPREPLY+=("$before$name")
    done < <(compgen -W "$REPLY" -- "$start")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  fi
  return 0
}

# Puts the first word that is no flag and no flag's value into name, if the cursor is behind it.
_tatl_first() {
  local at REPLY
  for ((at = 1; at < COMP_CWORD; at++)); do
    name=${COMP_WORDS[at]}
    if [[ $name != -* ]]; then
      return 0
    elif [[ ${COMP_WORDS[at+1]} == = ]]; then
      ((at += 2))
    elif [[ $name != *=* ]] && _tatl_takes "$1" "$name"; then
      ((at += 1))
    fi
  done
  return 1
}

# Whether a flag has a value, which may then be the next word.
_tatl_takes() {
  _tatl_flags "$1"
  [[ " $REPLY " == *" $2= "* ]]
}
"""
