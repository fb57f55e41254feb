// Validates state machine definitions and evaluates their JSONata expressions. Reads {machines: {file: definition}, walks} from
// standard input and writes {findings, machines, walks} to standard output.
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import validate from 'asl-validator'
import jsonata from 'jsonata'

// Functions that Step Functions adds to JSONata, and the one that it leaves out:
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html#jsonata-functions-provided-by-sfn
const ADDED = ['partition', 'range', 'hash', 'random', 'parse', 'uuid']
const LEFT_OUT = ['eval']
const TIMEOUT = { Error: 'States.Timeout', Cause: 'a sample' }
const findings = []

const expressionOf = (value) => (typeof value === 'string' ? /^\{%\s*(.*?)\s*%\}$/s.exec(value)?.[1] : undefined)

/** Every expression under a value, with its path. */
function* expressions(value, path = '') {
  const expression = expressionOf(value)
  if (expression !== undefined) yield { path, expression }
  else if (value && typeof value === 'object')
    for (const [name, member] of Object.entries(value)) yield* expressions(member, path ? `${path}.${name}` : name)
}

/** The names of all variables and functions in the syntax tree of an expression. */
function* variables(node) {
  if (node?.type === 'variable') yield node.value
  if (node && typeof node === 'object') for (const member of Object.values(node)) yield* variables(member)
}

/** The states of a machine, and those that a Map repeats. */
const everyState = (machine) =>
  Object.values(machine.States).flatMap((state) => [state, ...(state.ItemProcessor ? everyState(state.ItemProcessor) : [])])

/** The variables that the states of a machine assign. */
const assigned = (machine) =>
  new Set(
    everyState(machine).flatMap((state) =>
      [state, ...(state.Catch ?? []), ...(state.Choices ?? [])].flatMap((part) => Object.keys(part.Assign ?? {}))
    )
  )

async function isKnown(name, machine) {
  if (name === '' || name === 'states' || ADDED.includes(name) || assigned(machine).has(name)) return true
  return !LEFT_OUT.includes(name) && (await jsonata(`$exists($${name})`).evaluate({}))
}

/** Reports what is wrong with a definition. Returns the paths of its expressions, or nothing if it is no valid definition. */
async function lint(file, machine) {
  const { errors } = validate(structuredClone(machine))
  for (const error of errors) {
    const code = error['Error code'] ?? ''
    findings.push({ file, where: error.path ?? 'definition', rule: 'asl', subject: code, reason: error.Message ?? error.message ?? JSON.stringify(error) })
  }
  const found = Object.entries(machine.States).flatMap(([state, members]) => [...expressions(members, state)])
  for (const { path, expression } of found) {
    const report = (rule, reason) => findings.push({ file, where: path, rule, subject: expression, reason })
    try {
      for (const name of new Set(variables(jsonata(expression).ast())))
        if (!(await isKnown(name, machine))) report('variable', `no state assigns $${name}, and it is no function`)
    } catch (error) {
      report('jsonata', error.message)
    }
  }
  return errors.length ? undefined : found.map(({ path }) => path)
}

/** One execution of a machine with given results of its tasks. */
class Walk {
  constructor(file, machine, walk, evaluated) {
    Object.assign(this, { file, machine, walk, evaluated, variables: {}, path: [], sent: {}, pending: structuredClone(walk.results ?? {}) })
    const Execution = { Id: walk.executionArn, Name: walk.executionArn.split(':').at(-1), StartTime: '2026-11-22T10:00:00.000Z', Input: walk.input }
    this.context = { Execution, State: { EnteredTime: '2026-11-22T10:01:30.500Z' } }
    this.folder = ''
  }

  report(rule, where, subject, reason) {
    findings.push({ file: this.file, where: `${this.walk.title}: ${where}`, rule, subject: String(subject), reason })
  }

  /** A value in which every expression is replaced by its result. */
  async fill(value, states, path) {
    const expression = expressionOf(value)
    if (expression === undefined) {
      if (!value || typeof value !== 'object') return value
      const members = []
      for (const [name, member] of Object.entries(value)) members.push([name, await this.fill(member, states, `${path}.${name}`)])
      return Array.isArray(value) ? members.map(([, member]) => member) : Object.fromEntries(members)
    }
    this.evaluated.add(this.folder + path)
    try {
      const result = await jsonata(expression).evaluate(undefined, { ...this.variables, states: { ...states, context: this.context } })
      // Step Functions fails a state whose expression has no result.
      if (result !== undefined) return JSON.parse(JSON.stringify(result))
      this.report('undefined', path, expression, 'the expression has no result')
    } catch (error) {
      this.report('evaluation', path, expression, error.message)
    }
    return null
  }

  async assign(part, states, path) {
    const values = await this.fill(part.Assign ?? {}, states, `${path}.Assign`)
    Object.assign(this.variables, values)
  }

  /** Runs a machine, or the states that a Map repeats. Returns the output. */
  async pass(machine, input) {
    let name = machine.StartAt
    while (name) {
      this.path.push(name)
      if (this.path.length > 100) return this.report('walk', name, 'path', 'the walk does not end')
      ;[name, input] = await this.step(name, machine.States[name], input)
    }
    return input
  }

  async run() {
    await this.pass(this.machine, this.walk.input)
    if (this.path.at(-1) !== this.walk.path.at(-1) || (!this.walk.failing && !isDeepStrictEqual(this.path, this.walk.path)))
      this.report('walk', 'path', this.path.join(' > '), `expected ${this.walk.path.join(' > ')}`)
    for (const [task, sent] of Object.entries(this.walk.sent ?? {}))
      if (!isDeepStrictEqual(this.sent[task], sent))
        this.report('walk', `${task}.Arguments`, JSON.stringify(this.sent[task]), `expected ${JSON.stringify(sent)}`)
  }

  /** Runs one state. Returns the name of the next state, and its input. */
  async step(name, state, input) {
    const states = { input }
    if (state.Type === 'Task') return this.task(name, state, states)
    if (state.Type === 'Map') return this.map(name, state, states)
    if (state.Type === 'Choice') {
      for (const [at, choice] of state.Choices.entries()) {
        const path = `${name}.Choices.${at}`
        const holds = await this.fill(choice.Condition, states, `${path}.Condition`)
        if (typeof holds !== 'boolean') this.report('evaluation', path, choice.Condition, `the result is ${JSON.stringify(holds)}, not true or false`)
        if (holds === true) {
          const output = choice.Output === undefined ? input : await this.fill(choice.Output, states, `${path}.Output`)
          await this.assign(choice, states, path)
          return [choice.Next, output]
        }
      }
      return [state.Default, input]
    }
    if (state.Type === 'Wait') {
      const seconds = await this.fill(state.Seconds, states, `${name}.Seconds`)
      if (!Number.isInteger(seconds)) this.report('evaluation', `${name}.Seconds`, state.Seconds, `the result is ${JSON.stringify(seconds)}, not a number of seconds`)
    }
    const output = state.Output === undefined ? input : await this.fill(state.Output, states, `${name}.Output`)
    await this.assign(state, states, name)
    return [state.Next, output]
  }

  /** Repeats the states of a distributed Map for each input in `items`: each is an execution with variables of its own. */
  async map(name, state, states) {
    for (const field of ['ItemReader', 'ItemBatcher', 'ResultWriter']) await this.fill(state[field], states, `${name}.${field}`)
    if (this.walk.failing === name) return this.caught(name, state, states, TIMEOUT)
    const { folder, variables } = this
    const outputs = []
    this.folder = `${folder}${name}.ItemProcessor.States.`
    for (const input of this.walk.items[name]) {
      this.variables = {}
      outputs.push(await this.pass(state.ItemProcessor, input))
    }
    Object.assign(this, { folder, variables })
    // Results that the Map exports are in the walk.
    const result = this.pending[name] ?? outputs
    const output = state.Output === undefined ? result : await this.fill(state.Output, { ...states, result }, `${name}.Output`)
    await this.assign(state, { ...states, result }, name)
    return [state.Next, output]
  }

  async task(name, state, states) {
    this.sent[name] = await this.fill(state.Arguments, states, `${name}.Arguments`)
    const results = [this.pending[name] ?? []].flat()
    if (!results.length) {
      this.report('walk', name, 'results', 'the walk has no result for this task')
      return []
    }
    const result = this.walk.failing === name ? TIMEOUT : results.length > 1 ? results.shift() : results[0]
    this.pending[name] = results
    if (!result.Error) {
      const output = state.Output === undefined ? result : await this.fill(state.Output, { ...states, result }, `${name}.Output`)
      await this.assign(state, { ...states, result }, name)
      return [state.Next, output]
    }
    return this.caught(name, state, states, result)
  }

  async caught(name, state, states, result) {
    const at = state.Catch.findIndex((catcher) => [result.Error, 'States.ALL'].some((error) => catcher.ErrorEquals.includes(error)))
    const caught = state.Catch[at]
    await this.assign(caught, { ...states, errorOutput: result }, `${name}.Catch.${at}`)
    const output = caught.Output === undefined ? result : await this.fill(caught.Output, { ...states, errorOutput: result }, `${name}.Catch.${at}.Output`)
    return [caught.Next, output]
  }
}

const { machines, walks } = JSON.parse(readFileSync(0, 'utf8'))
const counts = {}
for (const [file, machine] of Object.entries(machines)) {
  const paths = await lint(file, machine)
  if (!paths) continue
  const evaluated = new Set()
  const own = walks.filter((walk) => walk.machine === file)
  for (const walk of own) {
    await new Walk(file, machine, walk, evaluated).run()
    for (const [end, tasks] of Object.entries(walk.failures ?? {}))
      for (const failing of tasks)
        await new Walk(file, machine, { ...walk, title: `${walk.title}, but ${failing} fails`, failing, path: [end], sent: {} }, evaluated).run()
  }
  for (const path of paths.filter((path) => !evaluated.has(path)))
    findings.push({ file, where: path, rule: 'unevaluated', subject: path, reason: 'no walk in tools/audit/walks.yaml evaluates the expression' })
  counts[file] = { states: Object.keys(machine.States).length, expressions: paths.length, evaluated: evaluated.size, walks: own.length }
}
process.stdout.write(JSON.stringify({ findings, counts }))
