"""`python -m local_aws.demo`: onboards an access on the emulated AWS and shows how its grant is cleaned up."""

from local_aws.tools.demo import main

if __name__ == "__main__":
    main()
