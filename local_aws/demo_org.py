"""`python -m local_aws.demo_org`: deploys Latchkey to two accounts in two Regions of the embedded AWS, with a central bus."""

from local_aws.tools.demo_organization import main

if __name__ == "__main__":
    main()
