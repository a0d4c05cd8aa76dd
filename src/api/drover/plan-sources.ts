import type { InstanceSpec, SecondOpinion } from '../../engines/index.ts'
import type {
  CommandsOf,
  Corrections,
  Inventory,
  ModelFiles,
  Plan,
  PlanModel,
  PlansTogether,
  PlanTask,
  PlanWishes,
  Strategy,
} from '../../placement/index.ts'

/** A model with its files, as far as they are anywhere. */
export interface PlanSubject {
  model: PlanModel
  files: ModelFiles
}

/** What plans are made of. */
export interface PlanSources {
  /** A model by the name that people give it. Throws `model_not_found`. */
  find(name: string): Promise<PlanSubject>
  /** This machine, or all machines of this server, as they are now. */
  machines(): Promise<Inventory>
  /** Command lines as they are on this machine, or on others, whatever is installed here. */
  commandsOf(here: boolean): Promise<CommandsOf>
  /** What the configuration asks of plans for this machine, under a strategy that the request asks for. */
  wishesFor?(inventory: Inventory, strategy: Strategy | undefined): PlanWishes
  /** What was learned of the memory that such models take; absent: nothing. */
  correctionsFor?(subject: PlanSubject, inventory: Inventory): Promise<Corrections>
  /** Works plans out elsewhere than in this thread, which has others to answer. Absent: here. */
  workOut?(task: PlanTask): Promise<PlansTogether>
  /** What another program reckons that the first instance of a plan takes. */
  opinionOf?(plan: Plan, spec: InstanceSpec): Promise<SecondOpinion | undefined>
}
