--- Completion: what bash and zsh need to complete the words of a command line, written from the
-- descriptions of the command and of its scripts.
-- @module llm.completion
local args = require "llm.args"

-- All spellings of the options: those that stand alone, and those that a value follows.
local function words_of(spec)
  local all, valued = {}, {}
  local function add(option)
    for _, word in ipairs { option.short and "-" .. option.short or "", "--" .. option[1] } do
      if word ~= "" then all[#all + 1] = word end
      if word ~= "" and option.value then valued[#valued + 1] = word end
    end
  end
  for _, option in ipairs(spec) do add(option) end
  if not args.index(spec)["--help"] then add(args.help) end
  return table.concat(all, " "), valued
end

-- --- bash ----------------------------------------------------------------------------------------

local bash = [[
# Completion of llmrun for bash, written by llmrun --completion bash.
_llmrun() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local script= options= names= valued= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            @VALUED@) ((i++)) ;;
            -*) ;;
            *) script=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $script in
@SCRIPTS@    esac
    COMPREPLY=()
    case $previous in
        -m|--model)
            names=$("${COMP_WORDS[0]}" models 2>/dev/null | cut -f1)
            COMPREPLY=($(compgen -W "$names" -- "$word")) ;;
        *)
            case " $valued " in *" $previous "*) return ;; esac
            case $word in
                -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
                *) [ -n "$script" ] || COMPREPLY=($(compgen -W "$names" -- "$word")) ;;
            esac ;;
    esac
}
complete -o default -F _llmrun llmrun
]]

local function bash_text(command, scripts)
  local names, cases = {}, {}
  local function add(name, spec, more)
    local words, valued = words_of(spec)
    cases[#cases + 1] = ("        %s) options='%s' valued='%s'%s ;;\n"):format(name, words,
      table.concat(valued, " "), more or "")
    return valued
  end
  for i, script in ipairs(scripts) do names[i] = script.name end
  local valued = add("''", command, (" names='%s'"):format(table.concat(names, " ")))
  for _, script in ipairs(scripts) do add(script.name, script.spec) end
  local fields = { VALUED = table.concat(valued, "|"), SCRIPTS = table.concat(cases) }
  return (bash:gsub("@(%u+)@", fields))
end

-- --- zsh -----------------------------------------------------------------------------------------

local zsh = [[
#compdef llmrun
# Completion of llmrun for zsh, written by llmrun --completion zsh.
_llmrun_models() { compadd -- ${(f)"$(llmrun models 2>/dev/null | cut -f1)"} }
_llmrun() {
    local curcontext=$curcontext state line
    local -a names=(
@NAMES@    )
    _arguments -C @COMMAND@ '1:script:->script' '*::argument:->argument' && return
    case $state in
        script) _describe script names; _files -g '*.lua' ;;
        argument)
            case $words[1] in
@SCRIPTS@                *) _files ;;
            esac ;;
    esac
}
if [ "$funcstack[1]" = _llmrun ]; then _llmrun "$@"; else compdef _llmrun llmrun; fi
]]

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end
local function escaped(text) return (text:gsub("[%[%]:\\]", "\\%0")) end

local function action_of(option)
  if option[1] == "model" then return "_llmrun_models" end
  return option.value == "FILE" and "_files" or " "
end

local function zsh_option(option)
  local short, long = option.short and "-" .. option.short, "--" .. option[1]
  local tail = ("[%s]"):format(escaped(option[2]))
  if option.value then tail = tail .. (":%s:%s"):format(option.value, action_of(option)) end
  if not short then return quoted(long .. tail) end
  return ("'(%s %s)'{%s,%s}%s"):format(short, long, short, long, quoted(tail))
end

local function zsh_options(spec)
  local list = {}
  for i, option in ipairs(spec) do list[i] = zsh_option(option) end
  if not args.index(spec)["--help"] then list[#list + 1] = zsh_option(args.help) end
  return table.concat(list, " ")
end

local function zsh_text(command, scripts)
  local names, cases = {}, {}
  for i, script in ipairs(scripts) do
    names[i] = "        " .. quoted(script.name .. ":" .. escaped(script.summary)) .. "\n"
    cases[i] = ("                %s) _arguments %s '*:file:_files' ;;\n"):format(script.name,
      zsh_options(script.spec))
  end
  local fields = { NAMES = table.concat(names), COMMAND = zsh_options(command),
    SCRIPTS = table.concat(cases) }
  return (zsh:gsub("@(%u+)@", fields))
end

--- What a shell reads to complete the words of llmrun.
-- @tparam string shell `"bash"` or `"zsh"`
-- @tparam table command the options of the command, as for llm.args
-- @tparam table scripts of llm.describe
-- @treturn string
-- @treturn nil, string
local function text(shell, command, scripts)
  if shell == "bash" then return bash_text(command, scripts) end
  if shell == "zsh" then return zsh_text(command, scripts) end
  return nil, ("--completion must be bash or zsh, not %q"):format(shell)
end

return { text = text }
