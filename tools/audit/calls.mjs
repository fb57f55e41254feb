// Simulates calls with iam-simulate. Reads a list of simulations from standard input, and writes a list of {result, problem} in the
// same order to standard output.
import { readFileSync } from 'node:fs'
import { createValidatedPolicy, validateResourcePolicy } from '@cloud-copilot/iam-policy'
import { runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'

// Keys of requests that runSimulation leaves out. It recognizes the variable part of a key only after a slash, and the data do not have
// the key of MediaPackage v2. runUnsafeSimulation evaluates every key.
const LEFT_OUT = /^kms:EncryptionContext:|^mediapackagev2:RequestHasMatchingCdnAuthHeader$/

async function answer(simulation) {
  const simulated = await runSimulation(simulation, {})
  if (simulated.resultType === 'error') return { problem: JSON.stringify(simulated.errors) }
  const results = simulated.resultType === 'single' ? [simulated.result] : simulated.results
  const ignored = results.flatMap((result) => result.ignoredContextKeys ?? [])
  const unknown = ignored.filter((key) => !LEFT_OUT.test(key))
  if (unknown.length) return { problem: `the action does not have ${unknown.join(', ')}` }
  return { result: ignored.length ? simulateEveryKey(simulation) : simulated.overallResult }
}

/** runUnsafeSimulation requires a name for a resource policy. */
function simulateEveryKey(simulation) {
  const { resourcePolicy } = simulation
  const named = resourcePolicy && createValidatedPolicy(resourcePolicy, validateResourcePolicy, { name: 'resource policy' })
  return runUnsafeSimulation({ ...simulation, resourcePolicy: named }, {})
}

const answers = []
for (const simulation of JSON.parse(readFileSync(0, 'utf8')))
  // Without organization policies, everything that the account allows is allowed.
  answers.push(await answer({ serviceControlPolicies: [], resourceControlPolicies: [], ...simulation }))
process.stdout.write(JSON.stringify(answers))
